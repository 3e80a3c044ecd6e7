//! No look-up of the way from the log to the report fails in silence.

use super::source::{Source, block_length, sources, split_at_commas};
use super::{found, none};

/// The folders in which every look-up is a [`Table`]'s, which logs and counts what it does not have, or says
/// why nothing may be there.
///
/// [`Table`]: driftline_config::Table
const WATCHED: [&str; 3] = ["service/pipeline/src/", "ingest/src/reader/", "src/monitor/"];
const LOOK_UPS: [&str; 2] = [".get(", ".get_mut("];
/// How an arm, or an `else`, begins that does nothing about what is not there.
const SILENT: [&str; 5] = ["return", "continue", "break", "{}", "()"];

/// Look-ups that find nothing and go on as if nothing were.
fn silent(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for folder in WATCHED {
        let watched: Vec<&Source> =
            sources.iter().filter(|source| source.path.starts_with(folder)).collect();
        let fields: Vec<(&str, &str)> =
            watched.iter().flat_map(|source| fields(&source.code)).collect();
        for source in &watched {
            let all = LOOK_UPS.into_iter().flat_map(|get| source.code.match_indices(get));
            for at in
                all.map(|(at, _)| at).filter(|at| !is_of_a_table(&source.code[..*at], &fields))
            {
                if passes_over(source, at) && !is_explained(source, at) {
                    faults.push(format!(
                        "{}:{}: a look-up that finds nothing is passed over: use a Table, which logs it, or say above it why nothing may be there",
                        source.path,
                        source.line(at)
                    ));
                }
            }
        }
    }
    faults
}

/// Names and types of the fields of all structs.
fn fields(code: &str) -> Vec<(&str, &str)> {
    let mut fields = Vec::new();
    for (at, _) in code.match_indices("struct ") {
        let behind = &code[at..];
        let Some(open) = behind.find(['{', ';', '(']).filter(|it| behind[*it..].starts_with('{'))
        else {
            continue;
        };
        let block = &behind[open..];
        let block = &block[1..block_length(block) - 1];
        let of_struct = split_at_commas(block).into_iter().filter_map(|it| it.split_once(": "));
        fields.extend(of_struct.map(|(name, kind)| (last_word(name), kind)));
    }
    fields
}

/// Whether what is looked into is a field, and every field of its name is a table.
fn is_of_a_table(before: &str, fields: &[(&str, &str)]) -> bool {
    let name = last_word(before);
    let is_field = before.trim_end().strip_suffix(name).is_some_and(|it| it.ends_with('.'));
    let mut kinds =
        fields.iter().filter(|(field, _)| *field == name).map(|(_, kind)| kind).peekable();
    is_field && kinds.peek().is_some() && kinds.all(|kind| kind.starts_with("Table<"))
}

/// Whether nothing is done where the look-up at this place finds nothing.
fn passes_over(source: &Source, at: usize) -> bool {
    let (head, tail) = (&source.code[statement(&source.code, at)..at], &source.code[at..]);
    // Up to the block or the end of the statement, whatever stands in brackets.
    let end = end_of_expression(tail);
    let block = &tail[end..];
    let is_silent = |text: &str| SILENT.iter().any(|word| text.trim_start().starts_with(word));
    if head.contains("match ") && block.starts_with('{') {
        let block = &block[..block_length(block)];
        let arms = ["None =>", "_ =>"].into_iter().filter_map(|arm| block.split_once(arm));
        return arms.into_iter().any(|(above, arm)| is_silent(arm) && !ends_with_a_blank(above));
    }
    if let Some(body) =
        block.strip_prefix("{").filter(|_| tail[..end].trim_end().ends_with(" else"))
    {
        return is_silent(body);
    }
    let is_condition = head.contains("if let ") && block.starts_with('{');
    !(is_condition && block[block_length(block)..].trim_start().starts_with("else"))
}

/// Whether the last line of code is empty: a comment stands there.
fn ends_with_a_blank(code: &str) -> bool {
    code.trim_end_matches(' ')
        .trim_end_matches('\n')
        .lines()
        .last()
        .is_some_and(|it| it.trim().is_empty())
}

/// Where the expression ends that goes on here: at its block, its semicolon, or the end of what it stands in.
fn end_of_expression(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' | ';' | '}' if depth == 0 => return at,
            _ => {}
        }
    }
    code.len()
}

/// Where the statement begins in which this place is.
fn statement(code: &str, at: usize) -> usize {
    let from = code[..at].rfind([';', '{', '}']).map_or(0, |end| end + 1);
    from + code[from..].len() - code[from..].trim_start().len()
}

/// Whether a comment above the look-up, or above its statement, says why nothing may be there; or the sentence
/// of a function that does nothing before it says what it returns *where* that is so.
fn is_explained(source: &Source, at: usize) -> bool {
    let lines: Vec<&str> = source.text.lines().collect();
    let above = |at: usize| {
        let line = source.line(at) - 1;
        lines[..line].last().map_or("", |line| line.trim_start())
    };
    let from = statement(&source.code, at);
    if [at, from].into_iter().any(|at| above(at).starts_with("// ")) {
        return true;
    }
    let Some(before) = source.code[..from].trim_end().strip_suffix('{') else { return false };
    let signature = statement(&source.code, before.len());
    let comment = lines[..source.line(signature) - 1].iter().rev();
    let mut comment = comment.map(|line| line.trim_start()).take_while(|it| it.starts_with("///"));
    source.code[signature..before.len()].contains("fn ") && comment.any(|it| it.contains(" where "))
}

fn last_word(code: &str) -> &str {
    let code = code.trim_end();
    let from = code.rfind(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
    &code[from.map_or(0, |at| at + 1)..]
}

#[test]
fn no_look_up_is_silent() {
    none(&silent(&sources()));
    let planted = |text: &str| silent(&[Source::new("service/pipeline/src/a.rs", text)]);
    let forms = [
        "let Some(model) = self.models.get(index) else { return };",
        "if let Some(model) = self.models.get_mut(&index) {\n model.b();\n }",
        "let model = self.models.get(index)?;",
        "ids.iter().filter_map(|id| self.models.get(*id)).for_each(b);",
        "b(self.models.get(index).copied().unwrap_or_default());",
        "match self.models.get(index) {\n Some(model) => b(model),\n None => {}\n }",
    ];
    for form in forms {
        let text = format!(
            "struct A {{ models: Vec<Model> }}\nfn a(&self) {{\n    let b = 1;\n    {form}\n}}\n"
        );
        found(&planted(&text), "a.rs:4: a look-up that finds nothing");
        none(&planted(&text.replace("Vec<Model>", "Table<ModelId, Model>")));
        none(&planted(&text.replace("    let b = 1;\n", "    // It may have closed.\n")));
        // Another one of that name may be looked into.
        let other = format!("{text}struct B {{ models: Table<ModelId, Model> }}\n");
        found(&planted(&other), "a.rs:4: a look-up that finds nothing");
    }
    let text =
        "/// `None` where it has closed.\nfn a(&self) -> Option<&M> {\n    self.models.get(0)\n}\n";
    none(&planted(text));
    found(&planted(&text.replace(" where it has closed", "")), "a.rs:3: a look-up");
    let handled = [
        "let Some(model) = self.models.get(index) else { panic!() };",
        "if let Some(model) = self.models.get(index) { b(model) } else { self.miss(index) }",
        "match self.models.get(index) { Some(model) => b(model), None => self.miss(index) }",
    ];
    for form in handled {
        none(&planted(&format!("fn a(&self) {{\n    {form}\n}}\n")));
    }
    none(&silent(&[Source::new("src/a.rs", "fn a() { b.get(0)?; }")]));
}
