//! The configuration exactly as it was written: a tree of values in which every one knows its line.

use std::ops::Range;

use toml_edit::{Document, Item};

/// A value with the line it stands on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Raw,
}

/// A value of TOML.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// Dates have no use here; the text is kept for messages and for `policy.config`.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One `key = value` of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Line of the key.
    pub(super) line: usize,
    pub(super) node: Node,
}

/// Text that is no TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    /// What the parser says, in one line.
    pub(super) message: String,
}

/// Reads TOML.
///
/// # Errors
/// At the first place that is no TOML: beyond it nothing can be trusted.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let lines = Lines::new(text);
    let document = Document::parse(text).map_err(|error| SyntaxError {
        line: lines.of(error.span()).unwrap_or(1),
        message: error.message().split_whitespace().collect::<Vec<_>>().join(" "),
    })?;
    Ok(node(document.as_item(), 1, &lines))
}

/// Where each line begins.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { starts: std::iter::once(0).chain(breaks.map(|(index, _)| index + 1)).collect() }
    }

    fn of(&self, span: Option<Range<usize>>) -> Option<usize> {
        span.map(|span| self.starts.partition_point(|start| *start <= span.start))
    }
}

/// `line` is used where the parser gives a value no place of its own (a table made by a dotted key).
fn node(item: &Item, line: usize, lines: &Lines) -> Node {
    let own = lines.of(item.span()).unwrap_or(line);
    if let Some(table) = item.as_table_like() {
        let entries = table.iter().map(|(key, child)| {
            let key_line = table.key(key).and_then(|key| lines.of(key.span())).unwrap_or(own);
            Entry { key: key.to_owned(), line: key_line, node: node(child, key_line, lines) }
        });
        return Node { line: own, value: Raw::Table(entries.collect()) };
    }
    if let Some(tables) = item.as_array_of_tables() {
        let each = tables.iter().map(|table| node(&Item::Table(table.clone()), own, lines));
        return Node { line: own, value: Raw::List(each.collect()) };
    }
    Node {
        line: own,
        value: item.as_value().map_or(Raw::Table(Vec::new()), |plain| value(plain, own, lines)),
    }
}

fn value(value: &toml_edit::Value, line: usize, lines: &Lines) -> Raw {
    match value {
        toml_edit::Value::String(text) => Raw::Text(text.value().clone()),
        toml_edit::Value::Integer(number) => Raw::Integer(*number.value()),
        toml_edit::Value::Float(number) => Raw::Float(*number.value()),
        toml_edit::Value::Boolean(is_true) => Raw::Bool(*is_true.value()),
        toml_edit::Value::Datetime(date) => Raw::Date(date.value().to_string()),
        toml_edit::Value::Array(list) => {
            Raw::List(list.iter().map(|each| node(&Item::Value(each.clone()), line, lines)).collect())
        }
        toml_edit::Value::InlineTable(_) => node(&Item::Value(value.clone()), line, lines).value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(node: &Node) -> &[Entry] {
        match &node.value {
            Raw::Table(entries) => entries,
            other => panic!("{other:?} is no table"),
        }
    }

    #[test]
    fn every_value_knows_its_line() {
        let text = "mode = \"x\"\n\n[a]\nb.c = 1\nlist = [\n  1,\n  { d = true },\n]\n[[s]]\ne = 2.5\n[[s]]\ne = 3\n";
        let root = parse(text).unwrap();
        let top: Vec<(&str, usize)> =
            entries(&root).iter().map(|entry| (entry.key.as_str(), entry.line)).collect();
        assert_eq!((top[0], top[1]), (("mode", 1), ("a", 3)));
        let a = entries(&entries(&root)[1].node);
        assert_eq!((a[0].key.as_str(), a[0].line), ("b", 4));
        assert_eq!(
            entries(&a[0].node)[0],
            Entry { key: "c".to_owned(), line: 4, node: Node { line: 4, value: Raw::Integer(1) } }
        );
        let Raw::List(list) = &a[1].node.value else { panic!("a list") };
        assert_eq!((list[0].line, list[1].line), (6, 7));
        assert_eq!(entries(&list[1])[0].node.value, Raw::Bool(true));
        let Raw::List(steps) = &entries(&root)[2].node.value else { panic!("a list of tables") };
        assert_eq!((entries(&steps[0])[0].line, entries(&steps[1])[0].line), (10, 12));
        assert_eq!((steps[0].line, steps[1].line), (9, 11));
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        assert_eq!(parse("a = 1\nb = \n").unwrap_err().line, 2);
        assert_eq!(parse("a = 1\na = 2\n").unwrap_err().line, 2);
        assert!(!parse("a = 'x\n").unwrap_err().message.contains('\n'));
    }
}
