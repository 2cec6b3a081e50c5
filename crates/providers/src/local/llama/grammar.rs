//! What the model may write: a grammar for tool calls and for answers of a prescribed form.

use antiphon_core::{AnswerForm, Error, Result, Tool, ToolChoice};
use serde_json::Value;

use super::schema::{Rules, SchemaError, literal};
use super::tools::{CLOSE, OPEN};

/// A grammar for tool calls and for answers of a prescribed form, and when it applies.
pub(super) struct Grammar {
    /// In llama.cpp's GBNF notation; the root rule is called `root`.
    pub(super) text: String,
    /// Whether the model may write text first: the grammar then applies from [`Grammar::TRIGGER`] on.
    pub(super) lazy: bool,
}

impl Grammar {
    /// The grammar holds from where this is found on. llama.cpp searches the text for it after each token, so that it needs
    /// nothing around it; `[\s\S]*` would make `std::regex` call itself for each character and overflow the stack.
    ///
    /// The token that completes the mark may hold more characters. llama.cpp ends the process if the grammar does not admit
    /// these, so only what it does admit may stand there: the beginning of a call.
    pub(super) const TRIGGER: &str = r#"<tool_call>(?:\{"?)?$"#;

    /// The grammar for calls of these tools and for answers of this form; `None` when the model may write what it likes.
    pub(super) fn of(tools: &[Tool], choice: &ToolChoice, form: &AnswerForm) -> Result<Option<Self>> {
        let mut rules = Rules::new();
        let answer = answer_rule(&mut rules, form)?;
        let calls = Self::calls(&mut rules, tools, choice)?;
        let call = format!("\"{OPEN}\" call \"{CLOSE}\"");
        let (root, lazy) = match (answer, calls, choice) {
            (None, false, _) => return Ok(None),
            (None, true, choice) => (call, *choice == ToolChoice::Auto),
            (Some(answer), true, ToolChoice::Auto) => (format!("{answer} | {call}"), false),
            (Some(_), true, _) => (call, false),
            (Some(answer), false, _) => (answer, false),
        };
        Ok(Some(Self { text: format!("root ::= {root}\n{}", rules.text()), lazy }))
    }

    /// Adds the rule of a call of one of these tools, `call`; false when the model may not call any.
    fn calls<'a>(rules: &mut Rules<'a>, tools: &'a [Tool], choice: &ToolChoice) -> Result<bool> {
        let allowed: Vec<&Tool> = match choice {
            ToolChoice::None => return Ok(false),
            ToolChoice::Function(name) => tools.iter().filter(|tool| tool.name == *name).collect(),
            ToolChoice::Auto | ToolChoice::Required => tools.iter().collect(),
        };
        if allowed.is_empty() {
            return match choice {
                ToolChoice::Auto | ToolChoice::None => Ok(false),
                ToolChoice::Required => Err(Error::invalid("a tool must be called, but there is none")),
                ToolChoice::Function(name) => Err(Error::invalid(format!("there is no tool '{name}'"))),
            };
        }
        let calls: Vec<String> = allowed
            .iter()
            .enumerate()
            .map(|(n, tool)| {
                let unusable =
                    |e| Error::invalid(format!("the parameters of {} are no usable schema: {e}", tool.name));
                call_rule(rules, n, tool).map_err(unusable)
            })
            .collect::<Result<_>>()?;
        rules.add_named("call", calls.join(" | "));
        Ok(true)
    }
}

/// Adds what the form of an answer admits; gives the name of its rule. `None` if it admits any text.
fn answer_rule<'a>(rules: &mut Rules<'a>, form: &'a AnswerForm) -> Result<Option<String>> {
    match form {
        AnswerForm::Text => Ok(None),
        AnswerForm::Json => Ok(Some(rules.primitive("object"))),
        AnswerForm::Schema { name, schema, .. } => {
            let unusable =
                |e| Error::invalid(format!("the form {name} of the answer is no usable schema: {e}"));
            rules.add_document("answer", schema).map(Some).map_err(unusable)
        }
    }
}

/// Adds the rule of a call, its name first: the arguments depend on it.
fn call_rule<'a>(
    rules: &mut Rules<'a>,
    number: usize,
    tool: &'a Tool,
) -> std::result::Result<String, SchemaError> {
    let name = literal(&Value::from(tool.name.as_str()).to_string());
    let arguments = if tool.parameters.is_object() {
        rules.add_document(&format!("arguments-{number}"), &tool.parameters)?
    } else {
        rules.primitive("object")
    };
    let call = format!(
        r#""{{" space "\"name\"" space ":" space {name} "," space "\"arguments\"" space ":" space {arguments} space "}}""#
    );
    let name = format!("call-{number}");
    rules.add_named(&name, call);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_grammar_takes_over_only_where_it_admits_the_text_so_far() {
        let trigger = regex::Regex::new(Grammar::TRIGGER).expect("an expression");
        let call = r#"<tool_call>{"name": "a"#;
        for (text, from) in [
            ("One moment.<tool_call>", Some(11)),
            ("<tool_call>{", Some(0)),
            ("<tool_call>{\"", Some(0)),
            ("<tool_call>: <tool_call>", Some(13)),
            ("<tool_call>:", None),
            ("<tool_call>{{", None),
            ("<tool_call", None),
        ] {
            let found = trigger.find(text).map(|found| found.start());
            assert_eq!(found, from, "{text}");
            assert!(found.is_none_or(|from| call.starts_with(&text[from..])), "{text}");
        }
    }

    #[test]
    fn a_tool_that_does_not_exist_cannot_be_chosen() {
        let error = Grammar::of(&[], &ToolChoice::Function("x".to_owned()), &AnswerForm::Text)
            .err()
            .expect("refused");
        assert!(error.to_string().contains('x'));
        assert!(Grammar::of(&[], &ToolChoice::Auto, &AnswerForm::Text).expect("fine").is_none());
    }

    #[test]
    fn odd_schemas_are_refused_or_taken_but_break_nothing() {
        for parameters in [
            json!(null),
            json!({}),
            json!({ "type": 5 }),
            json!({ "type": "banana" }),
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "$ref": "#/nowhere" }),
            json!({ "type": "object", "properties": { "a\"b\n": { "enum": ["\u{0}", "é", 3, null] } } }),
            json!({ "type": "string", "pattern": "^(((" }),
            json!({ "type": "array", "items": { "type": "integer" }, "minItems": 3, "maxItems": 1 }),
            json!({ "anyOf": [] }),
        ] {
            let tool = Tool { name: "odd".to_owned(), description: String::new(), parameters };
            match Grammar::of(&[tool], &ToolChoice::Auto, &AnswerForm::Text) {
                Ok(grammar) => assert!(grammar.is_some_and(|grammar| grammar.text.contains("root ::="))),
                Err(error) => assert!(error.to_string().contains("odd"), "the tool is named: {error}"),
            }
        }
    }

    #[test]
    fn an_answer_has_its_form_unless_a_tool_is_called() {
        let tool = Tool { name: "time".to_owned(), description: String::new(), parameters: Value::Null };
        let tools = [tool];
        let root = |tools: &[Tool], choice: &ToolChoice, form: &AnswerForm| {
            let grammar = Grammar::of(tools, choice, form).expect("made").expect("some");
            (grammar.text.lines().next().map(str::to_owned), grammar.lazy)
        };
        let object = Some("root ::= object".to_owned());
        assert_eq!(root(&[], &ToolChoice::Auto, &AnswerForm::Json), (object.clone(), false));
        assert_eq!(root(&tools, &ToolChoice::None, &AnswerForm::Json), (object, false));
        let (either, lazy) = root(&tools, &ToolChoice::Auto, &AnswerForm::Json);
        assert!(either.is_some_and(|root| root.starts_with("root ::= object | \"<tool_call>\"")) && !lazy);
        let (call, _) = root(&tools, &ToolChoice::Required, &AnswerForm::Json);
        assert!(call.is_some_and(|root| root.starts_with("root ::= \"<tool_call>\"")));
    }

    #[test]
    fn the_grammar_holds_the_names() {
        let tool = |name: &str| Tool {
            name: name.to_owned(),
            description: String::new(),
            parameters: json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] }),
        };
        let grammar = Grammar::of(&[tool("weather"), tool("time")], &ToolChoice::Required, &AnswerForm::Text)
            .expect("made")
            .expect("some");
        assert!(grammar.text.starts_with("root ::= \"<tool_call>\" call") && !grammar.lazy);
        assert!(grammar.text.contains("weather") && grammar.text.contains("time"), "{}", grammar.text);
    }
}
