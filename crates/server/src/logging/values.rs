//! The values of an event, as they may stand in a log.

use std::fmt::{self, Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{MakeVisitor, RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};

/// The most bytes of a value: an error with all its causes is shorter, and a screen shows them at once.
const MAX_VALUE: usize = 1_000;

/// Writes fields for people, without control characters, and long ones cut.
#[derive(Default)]
pub(super) struct CleanFields(DefaultFields);

impl<'a> FormatFields<'a> for CleanFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'a>, fields: R) -> fmt::Result {
        let mut visitor = self.0.make_visitor(writer);
        fields.record(&mut Cleaning(&mut visitor));
        visitor.finish()
    }
}

/// Passes cleaned values on. Numbers and truth values, which are written as they would be anyway, need no care.
struct Cleaning<'a>(&'a mut dyn Visit);

impl Visit for Cleaning<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.record_debug(field, &format_args!("{}", clean(&format!("{value:?}"))));
    }
}

/// The text on one line and cut. Characters that would begin a line, move the cursor or turn the direction of writing are written as
/// escapes.
fn clean(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(MAX_VALUE)];
    let mut out = String::with_capacity(kept.len());
    for character in kept.chars() {
        if may_deceive(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    if kept.len() < text.len() {
        // Writing to a string cannot fail.
        let _ = write!(out, "... ({} more bytes)", text.len() - kept.len());
    }
    out
}

/// Whether a character changes how those around it are shown: a control character, a separator of lines, or a mark of direction.
fn may_deceive(character: char) -> bool {
    let is_mark = matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || is_mark
}

/// The line, a JSON object, with its long texts cut and without characters that deceive; `None` if it has neither.
pub(super) fn cut_json(line: &str) -> Option<String> {
    if line.len() <= MAX_VALUE && !line.contains(may_deceive) {
        return None;
    }
    let mut object = serde_json::from_str(line).ok()?;
    clean_texts(&mut object);
    Some(object.to_string())
}

fn clean_texts(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > MAX_VALUE || text.contains(may_deceive) => *text = clean(text),
        Value::Array(items) => items.iter_mut().for_each(clean_texts),
        Value::Object(fields) => fields.values_mut().for_each(clean_texts),
        _ => {}
    }
}

/// The same for events from the same place in the code with the same values, whatever call or request they belong to.
pub(super) fn identity(event: &Event<'_>) -> u64 {
    let mut hashing = Hashing(DefaultHasher::new());
    event.metadata().callsite().hash(&mut hashing.0);
    event.record(&mut hashing);
    hashing.0.finish()
}

struct Hashing(DefaultHasher);

impl Visit for Hashing {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        field.name().hash(&mut self.0);
        format!("{value:?}").hash(&mut self.0);
    }
}
