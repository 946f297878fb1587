//! A small check of Lua policies against `dr.lua`: every word that is read from `dr`, `ctx` or what they gave exists.
//!
//! It follows `local x = dr.a.b`, `local x = dr.f()` with the fields read from `x`, `for _, x in pairs(y.z)`, and the
//! parameter `ctx`. What it cannot follow it leaves alone; the sandbox is strict about that at run time.

use std::collections::BTreeMap;

/// The types of `dr.lua`.
#[derive(Debug, Default)]
pub struct Types {
    /// Class to its fields with their types.
    classes: BTreeMap<String, BTreeMap<String, String>>,
    /// `dr.arbiters.ping` to what it returns; empty for nothing.
    functions: BTreeMap<String, String>,
}

impl Types {
    /// Reads the file.
    pub fn parse(text: &str) -> Self {
        let mut types = Self::default();
        let (mut class, mut returned) = (String::new(), String::new());
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("---@class"), Some(name), _) => {
                    class = name.to_owned();
                    types.classes.entry(class.clone()).or_default();
                }
                (Some("---@field"), Some(key), Some(kind)) => {
                    let fields = types.classes.entry(class.clone()).or_default();
                    fields.insert(key.trim_end_matches('?').to_owned(), whole(line, kind));
                }
                (Some("---@return"), Some(_), _) => {
                    let kind = line.trim_start_matches("---@return ");
                    returned = whole(kind, kind.split_whitespace().next().unwrap_or_default());
                }
                (Some("function"), Some(_), _) => {
                    let name = line.trim_start_matches("function ").split('(').next().unwrap_or_default();
                    types.functions.insert(name.to_owned(), std::mem::take(&mut returned));
                }
                _ => {}
            }
        }
        types
    }

    /// Fields of a class.
    pub fn fields(&self, class: &str) -> Vec<&str> {
        self.classes.get(class).into_iter().flat_map(BTreeMap::keys).map(String::as_str).collect()
    }

    /// The functions, as `dr.arbiters.ping`.
    pub fn functions(&self) -> Vec<&str> {
        self.functions.keys().map(String::as_str).collect()
    }

    /// Every word of a policy that does not exist, with its line.
    pub fn check(&self, source: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut locals: BTreeMap<String, String> =
            BTreeMap::from([("dr".into(), "drw.Dr".into()), ("ctx".into(), "drw.Context".into())]);
        for (index, line) in source.lines().enumerate() {
            let code = without_texts(line);
            shadow(&code, &mut locals);
            for chain in chains(&code) {
                if let Err(word) = self.resolve(&locals, &chain) {
                    found.push(format!("line {}: {}: \"{word}\" does not exist", index + 1, chain.join(".")));
                }
            }
            self.declare(&code, &mut locals);
        }
        found
    }

    /// The type of a chain such as `dr.config.watchdog`; empty where it is not known.
    fn resolve(&self, locals: &BTreeMap<String, String>, chain: &[String]) -> Result<String, String> {
        let Some(mut kind) = locals.get(&chain[0]).cloned() else { return Ok(String::new()) };
        for (at, key) in chain.iter().enumerate().skip(1) {
            if chain[0] == "dr"
                && let Some(returned) = self.functions.get(&chain[..=at].join("."))
            {
                kind = returned.trim_end_matches('?').to_owned();
                continue;
            }
            let Some(fields) = self.classes.get(&kind) else { return Ok(String::new()) };
            let is_namespace = chain[0] == "dr" && {
                let name = format!("{}.", chain[..=at].join("."));
                self.functions.keys().any(|function| function.starts_with(&name))
            };
            kind = match fields.get(key) {
                Some(field) => field.clone(),
                None if is_namespace => String::new(),
                None => return Err(key.clone()),
            };
        }
        Ok(kind)
    }

    fn declare(&self, code: &str, locals: &mut BTreeMap<String, String>) {
        let line = code.trim();
        if let Some((names, value)) = line.strip_prefix("local ").and_then(|rest| rest.split_once('=')) {
            let (name, value) = (names.trim(), value.trim());
            let chain = chains(value).into_iter().next().unwrap_or_default();
            let is_whole = !name.contains(',') && !chain.is_empty() && value.starts_with(&chain[0]);
            let rest = value.get(chain.join(".").len()..).unwrap_or_default();
            // `x or {}` still is an x; anything else behind it makes something new.
            let is_plain = rest.is_empty()
                || rest == "()"
                || rest == " or {}"
                || rest.starts_with("({")
                || rest.starts_with("(\"");
            let kind = if is_whole && is_plain {
                self.resolve(locals, &chain).unwrap_or_default()
            } else {
                String::new()
            };
            locals.insert(name.to_owned(), kind);
        }
        if let Some((names, rest)) = line.strip_prefix("for ").and_then(|rest| rest.split_once(" in "))
            && let Some((_, value)) = names.split_once(',')
        {
            let chain = chains(rest.split_once('(').map_or("", |(_, rest)| rest))
                .into_iter()
                .next()
                .unwrap_or_default();
            let kind = if chain.is_empty() {
                String::new()
            } else {
                self.resolve(locals, &chain).unwrap_or_default()
            };
            let entry =
                kind.strip_suffix("[]").or_else(|| kind.strip_prefix("table<string, ")?.strip_suffix('>'));
            locals.insert(value.trim().to_owned(), entry.unwrap_or_default().to_owned());
        }
    }
}

/// A parameter hides what had its name before; `ctx` is the context everywhere.
fn shadow(code: &str, locals: &mut BTreeMap<String, String>) {
    for part in code.split("function").skip(1) {
        let parameters = part.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        for name in parameters.map_or("", |(names, _)| names).split(',').map(str::trim) {
            if name != "ctx" {
                locals.remove(name);
            }
        }
    }
}

/// A type that has a space in it, `table<string, X>`, whole.
fn whole(line: &str, kind: &str) -> String {
    if !kind.starts_with("table<") {
        return kind.to_owned();
    }
    let from = line.find("table<").unwrap_or(0);
    let to = line[from..].find('>').map_or(line.len(), |at| from + at + 1);
    line[from..to].to_owned()
}

/// The line without comments, with its texts emptied.
fn without_texts(line: &str) -> String {
    let mut code = String::new();
    let mut quote = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match quote {
            Some(open) if letter == open => {
                code.push(letter);
                quote = None;
            }
            Some(_) if letter == '\\' => {
                letters.next();
            }
            Some(_) => {}
            None if letter == '-' && letters.peek() == Some(&'-') => return code,
            None => {
                quote = matches!(letter, '"' | '\'').then_some(letter);
                code.push(letter);
            }
        }
    }
    code
}

/// Every `a.b.c` of the code that is no part of a longer word.
fn chains(code: &str) -> Vec<Vec<String>> {
    let is_word = |found: char| found.is_alphanumeric() || found == '_' || found == '.';
    let words = code.split(|found: char| !is_word(found) && found != ':');
    let words = words.map(|word| word.split(':').next().unwrap_or_default());
    words
        .filter(|word| word.contains('.') && !word.starts_with('.') && !word.contains(".."))
        .map(|word| word.split('.').map(str::to_owned).collect())
        .collect()
}
