//! Tool calls for a model that only writes text. The instructions describe the tools, a grammar (`grammar.rs`) keeps the
//! calls well-formed, and the calls are parsed from what the model writes. The notation is that of the Hermes models,
//! on which many small models were trained.

use antiphon_core::{ChatDelta, Message, Tool};
use serde_json::{Value, json};

use super::text::overlap;

/// Around a call in the text of the model.
pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";

/// The instructions that describe the tools to the model.
pub(super) fn instructions(tools: &[Tool]) -> String {
    let mut text = String::from("You can call these functions:\n<tools>\n");
    for tool in tools {
        let signature = json!({
            "name": tool.name, "description": tool.description, "parameters": tool.parameters,
        });
        text.push_str(&signature.to_string());
        text.push('\n');
    }
    text.push_str("</tools>\nTo call one, answer only with ");
    text.push_str(OPEN);
    text.push_str(r#"{"name": "function", "arguments": {"parameter": "value"}}"#);
    text.push_str(CLOSE);
    text
}

/// A message of the assistant as the model wrote it, including its calls.
pub(super) fn written(message: &Message) -> String {
    let mut text = message.content.clone();
    for call in &message.tool_calls {
        let name = Value::from(call.name.as_str());
        text.extend([
            OPEN,
            "{\"name\": ",
            &name.to_string(),
            ", \"arguments\": ",
            &call.arguments,
            "}",
            CLOSE,
        ]);
    }
    text
}

/// The result of a tool as the model reads it.
pub(super) fn response(output: &str) -> String {
    format!("<tool_response>\n{output}\n</tool_response>")
}

/// Separates tool calls from text in what the model writes. The arguments of a call are passed on while they are written, so that a
/// long call is seen to grow.
#[derive(Default)]
pub(super) struct Calls {
    /// Whether there are tools; without them everything is text.
    expected: bool,
    /// What was read and is not certain yet.
    held: String,
    place: Place,
    /// Calls so far. What only looks like one does not count: who asked waits for as many results.
    made: usize,
}

/// Where in its output the model is.
#[derive(Default)]
enum Place {
    /// In text.
    #[default]
    Text,
    /// In a call, before its arguments.
    Head,
    /// In the arguments of a call.
    Arguments(Extent),
    /// Behind the arguments, or in what is no call: nothing matters before the closing mark.
    Tail,
}

impl Calls {
    pub(super) fn new(expected: bool) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Whether any call was made.
    pub(super) fn any(&self) -> bool {
        self.made > 0
    }

    /// Takes more text; returns the deltas that are certain.
    pub(super) fn push(&mut self, text: String) -> Vec<ChatDelta> {
        if !self.expected {
            return if text.is_empty() { Vec::new() } else { vec![ChatDelta::Text(text)] };
        }
        self.held.push_str(&text);
        let mut deltas = Vec::new();
        while self.step(&mut deltas) {}
        deltas
    }

    /// The text that was held back, once no more will come. A call that has not come as far as its arguments is dropped.
    pub(super) fn rest(&mut self) -> Option<ChatDelta> {
        if matches!(self.place, Place::Text) { self.text() } else { None }
    }

    /// Reads up to the next change of place. Returns whether there was one.
    fn step(&mut self, deltas: &mut Vec<ChatDelta>) -> bool {
        match &mut self.place {
            Place::Text => {
                if let Some(start) = self.held.find(OPEN) {
                    let rest = self.held.split_off(start + OPEN.len());
                    self.held.truncate(start);
                    deltas.extend(self.text());
                    (self.held, self.place) = (rest, Place::Head);
                    true
                } else {
                    let rest = self.held.split_off(self.held.len() - overlap(&self.held, OPEN));
                    deltas.extend(self.text());
                    self.held = rest;
                    false
                }
            }
            Place::Head => match head(&self.held) {
                Head::Of { name, length } => {
                    self.held.drain(..length);
                    deltas.push(self.begin(name));
                    self.place = Place::Arguments(Extent::default());
                    true
                }
                Head::Unfinished => false,
                Head::None => {
                    self.place = Place::Tail;
                    true
                }
            },
            Place::Arguments(extent) => {
                let end = extent.read(&self.held);
                let arguments: String = self.held.drain(..end.unwrap_or(self.held.len())).collect();
                if !arguments.is_empty() {
                    let index = self.made - 1;
                    deltas.push(ChatDelta::ToolCall { index, id: None, name: None, arguments });
                }
                if end.is_some() {
                    self.place = Place::Tail;
                }
                end.is_some()
            }
            Place::Tail => {
                if let Some(at) = self.held.find(CLOSE) {
                    self.held.drain(..at + CLOSE.len());
                    self.place = Place::Text;
                    true
                } else {
                    let dropped = self.held.len() - overlap(&self.held, CLOSE);
                    self.held.drain(..dropped);
                    false
                }
            }
        }
    }

    fn text(&mut self) -> Option<ChatDelta> {
        let text = std::mem::take(&mut self.held);
        (!text.is_empty()).then_some(ChatDelta::Text(text))
    }

    fn begin(&mut self, name: String) -> ChatDelta {
        let id = format!("call_{:016x}", rand::random::<u64>());
        self.made += 1;
        let index = self.made - 1;
        ChatDelta::ToolCall { index, id: Some(id), name: Some(name), arguments: String::new() }
    }
}

/// What a call begins with.
enum Head {
    /// A call of this name. Its arguments begin after so many bytes.
    Of { name: String, length: usize },
    /// It needs more text.
    Unfinished,
    /// It is no call.
    None,
}

/// Reads the beginning of a call up to its arguments: `{"name": "...", "arguments": `. The grammar lets the model write it in this
/// order only.
fn head(text: &str) -> Head {
    let mut rest = text;
    for token in ["{", "\"name\"", ":"] {
        match after(rest, token) {
            Some(more) => rest = more,
            None => return unless_begun(rest, token),
        }
    }
    let quoted = rest.trim_start();
    let mut name = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
    let name = match name.next() {
        Some(Ok(read)) => {
            rest = &quoted[name.byte_offset()..];
            read
        }
        Some(Err(error)) if !error.is_eof() => return Head::None,
        _ => return Head::Unfinished,
    };
    for token in [",", "\"arguments\"", ":"] {
        match after(rest, token) {
            Some(more) => rest = more,
            None => return unless_begun(rest, token),
        }
    }
    let rest = rest.trim_start();
    if rest.is_empty() { Head::Unfinished } else { Head::Of { name, length: text.len() - rest.len() } }
}

/// What follows `token` and the space before it.
fn after<'a>(text: &'a str, token: &str) -> Option<&'a str> {
    text.trim_start().strip_prefix(token)
}

/// The verdict on a text that does not begin with `token`, but may when more of it comes.
fn unless_begun(text: &str, token: &str) -> Head {
    if token.starts_with(text.trim_start()) { Head::Unfinished } else { Head::None }
}

/// Finds the end of a JSON value that comes in pieces.
#[derive(Default)]
struct Extent {
    /// Whether anything of the value was read.
    begun: bool,
    /// Arrays and objects that are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Extent {
    /// Reads the next piece. Returns where the value ends in it, if it does.
    fn read(&mut self, piece: &str) -> Option<usize> {
        for (at, byte) in piece.bytes().enumerate() {
            // A number or a word has no end of its own: what follows ends it.
            if self.begun && self.is_bare() && matches!(byte, b'}' | b',' | b' ' | b'\n' | b'\t' | b'\r') {
                return Some(at);
            }
            self.take(byte);
            let closes = matches!(byte, b'}' | b']' | b'"');
            if closes && self.is_bare() {
                return Some(at + 1);
            }
        }
        None
    }

    /// Whether this is outside of strings, arrays and objects.
    fn is_bare(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    fn take(&mut self, byte: u8) {
        self.begun = true;
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(calls: &mut Calls, pieces: &[&str]) -> (String, Vec<(String, String)>) {
        let mut deltas: Vec<ChatDelta> =
            pieces.iter().flat_map(|piece| calls.push((*piece).to_owned())).collect();
        deltas.extend(calls.rest());
        let (mut text, mut made) = (String::new(), Vec::<(String, String)>::new());
        for delta in deltas {
            match delta {
                ChatDelta::Text(more) => text.push_str(&more),
                ChatDelta::ToolCall { name: Some(name), arguments, .. } => made.push((name, arguments)),
                ChatDelta::ToolCall { index, arguments: more, .. } => made[index].1.push_str(&more),
                ChatDelta::FromCache(_) | ChatDelta::Done { .. } => {}
            }
        }
        (text, made)
    }

    #[test]
    fn calls_are_taken_out_however_they_are_cut() {
        let whole = r#"One moment.<tool_call>{"name": "weather", "arguments": {"city": "Ulm"}}</tool_call>"#;
        for cut in 0..whole.len() {
            let (text, made) = take(&mut Calls::new(true), &[&whole[..cut], &whole[cut..]]);
            assert_eq!(text, "One moment.", "{cut}");
            assert_eq!(made, [("weather".to_owned(), r#"{"city": "Ulm"}"#.to_owned())], "{cut}");
        }
    }

    #[test]
    fn without_tools_everything_is_text_and_a_cut_call_is_nothing() {
        let (text, _) = take(&mut Calls::new(false), &["a <tool_call> b"]);
        assert_eq!(text, "a <tool_call> b");
        let (text, made) = take(&mut Calls::new(true), &["a <b> <tool_call>{\"name\": \"w"]);
        assert_eq!((text.as_str(), made.len()), ("a <b> ", 0));
    }

    #[test]
    fn what_is_no_call_is_not_counted_as_one() {
        let mut calls = Calls::new(true);
        assert!(calls.push("<tool_call>{\"name\": </tool_call>".to_owned()).is_empty() && !calls.any());
        let deltas = calls.push(r#"<tool_call>{"name": "a", "arguments": {}}</tool_call>"#.to_owned());
        let first = matches!(
            deltas[..],
            [ChatDelta::ToolCall { index: 0, .. }, ChatDelta::ToolCall { index: 0, .. }]
        );
        assert!(first && calls.any(), "{deltas:?}");
    }

    #[test]
    fn arguments_come_as_they_are_written() {
        let mut calls = Calls::new(true);
        let pieces = [
            r#"<tool_call>{"name": "no"#,
            r#"te", "arguments": "#,
            r#"{"text": "one"#,
            " two",
            r#" three"}}"#,
        ];
        let grown: Vec<usize> = pieces.iter().map(|piece| calls.push((*piece).to_owned()).len()).collect();
        assert_eq!(grown, [0, 0, 2, 1, 1], "the name with the first of the arguments, and then each piece");
        assert!(calls.push("</tool_call>".to_owned()).is_empty());
    }

    #[test]
    fn arguments_of_every_kind_end_where_they_do() {
        for arguments in [
            r#"{"a": "}</tool_call>\\\"{", "b": [{}, []]}"#,
            "{}",
            r#"["]", 1]"#,
            r#""a \" b""#,
            "-1.5e3",
            "null",
            r#"{"city": "Zürich 😀"}"#,
        ] {
            let whole = format!(
                r#"<tool_call>{{"name":"a\u0041","arguments":{arguments}}}</tool_call><tool_call> {{ "name" : "b" , "arguments" : {arguments} }} </tool_call>Done."#
            );
            for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
                let (text, made) = take(&mut Calls::new(true), &[&whole[..cut], &whole[cut..]]);
                let expected = ["aA", "b"].map(|name| (name.to_owned(), arguments.to_owned()));
                assert_eq!((text.as_str(), made), ("Done.", expected.to_vec()), "{cut}");
            }
        }
    }
}
