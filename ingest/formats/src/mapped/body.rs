//! Bodies of requests and responses in the forms that serving systems speak, into rows: lists of rows,
//! columns of lists, `columns` beside `data`, tensors, CSV, also inside a string.

use driftline_capture::{Reason, Side};
use driftline_config::mapping::BodyShape;

use super::csv;
use super::found::{Found, FoundValue, Texts};
use super::gathered::Gathered;
use super::members::Members;
use super::plan::{BodyPlan, MapPlan, NamedColumn};
use super::typed::Typed;
use super::walk::{Halt, too_many, wrong_shape};
use crate::json::{Filling, SCALAR, Scanner, Value, unescape};
use crate::layout::{LastSeen, ModelLayout, Part, Target};
use crate::oip::{Inference, TensorColumns, side_of as side_of_part};
use crate::record::Rejection;
use crate::rows::{Row, Span, UnknownKey};

/// Under which keys requests have their rows, the first that is there.
const OF_REQUESTS: [&str; 6] =
    ["instances", "inputs", "dataframe_records", "dataframe_split", "input_data", "data"];
/// The same for responses.
const OF_RESPONSES: [&str; 4] = ["predictions", "outputs", "data", "output_data"];

/// Reads the bodies of one record.
pub(crate) struct BodyReader<'r> {
    pub(crate) layout: &'r ModelLayout,
    pub(crate) map: &'r MapPlan,
    pub(crate) gathered: &'r mut Gathered,
    pub(crate) row: &'r mut Row,
    pub(crate) string_bytes: usize,
    pub(crate) text: &'r str,
    /// The event, where it is tensors in Protobuf.
    pub(crate) inference: Option<&'r Inference<'r>>,
    /// What is known of its tensors.
    pub(crate) tensors: &'r mut TensorColumns,
}

/// Which side a body without a word about it is of.
pub(crate) fn side_of(text: &str, start: usize) -> Option<Side> {
    let members = Members::of(&mut Scanner::new(text, start)).ok()?;
    if OF_REQUESTS.iter().any(|key| members.at(key).is_some()) {
        return Some(Side::Request);
    }
    OF_RESPONSES.iter().any(|key| members.at(key).is_some()).then_some(Side::Response)
}

impl BodyReader<'_> {
    /// Reads one body, where the record has it.
    pub(crate) fn read(&mut self, index: usize, body: &BodyPlan) -> Result<(), Halt> {
        if let Some(inference) = self.inference {
            return self.read_inference(index, body, inference);
        }
        let Some(found) = self.first(&body.at) else { return Ok(()) };
        let texts = Texts { text: self.text, scratch: &self.row.scratch };
        let text_of = |sources: &[u32]| match self.first(sources).map(|found| found.value) {
            Some(FoundValue::Text(span)) => texts.of(span).to_ascii_lowercase(),
            _ => String::new(),
        };
        let (encoding, media_type) = (text_of(&body.encoding), text_of(&body.content_type));
        let content = match found.value {
            FoundValue::Text(span) if encoding == "base64" => {
                Some(super::cloud_event::decoded(texts.of(span).as_bytes())?)
            }
            FoundValue::Text(span) => Some(texts.of(span).to_owned()),
            _ if self.map.encoding.needs_schemas() => {
                let detail = "a body stands in a text here: name the places of a record by `rows`";
                return Err(invalid(detail));
            }
            _ => None,
        };
        let event = self.text;
        let mut table = self.table(body, content.as_deref());
        let rows = match &content {
            Some(content) => table.document(content, &encoding, &media_type)?,
            None => table.json(&mut Scanner::new(event, found.start as usize))?,
        };
        self.row.go_to(0);
        self.gathered.set_body(index, rows);
        Ok(())
    }

    /// Takes the body out of tensors, where they are of its side.
    fn read_inference(
        &mut self,
        index: usize,
        body: &BodyPlan,
        inference: &Inference<'_>,
    ) -> Result<(), Halt> {
        let side = side_of_part(body.part);
        let mut kept = std::mem::take(self.tensors);
        let rows = self.table(body, None).inference(inference, side, &mut kept);
        *self.tensors = kept;
        self.row.go_to(0);
        self.gathered.set_body(index, rows?);
        Ok(())
    }

    fn table<'t>(&'t mut self, body: &BodyPlan, content: Option<&'t str>) -> Table<'t> {
        let mut table = Table {
            layout: self.layout,
            row: self.row,
            seen: LastSeen::default(),
            text: content.unwrap_or(self.text),
            copied: content.is_some() || self.inference.is_some(),
            string_bytes: self.string_bytes,
            part: body.part,
            shape: body.shape,
            columns: TableColumns { known: Vec::new(), named: !body.positions.is_empty() },
        };
        table.name_by_map(self.map, body);
        table
    }

    fn first(&self, sources: &[u32]) -> Option<Found> {
        let found = sources.iter().filter_map(|source| self.gathered.found.get(*source as usize));
        found.copied().find(|found| !matches!(found.value, FoundValue::Absent))
    }
}

/// The rows of a body under construction.
pub(crate) struct Table<'r> {
    layout: &'r ModelLayout,
    row: &'r mut Row,
    seen: LastSeen,
    text: &'r str,
    copied: bool,
    string_bytes: usize,
    pub(crate) part: Part,
    shape: BodyShape,
    columns: TableColumns,
}

/// A column by its position or name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ColumnOf {
    Known(Target),
    /// One that the model does not know, by its name.
    New(Span),
}

/// The columns that positions stand for.
pub(crate) struct TableColumns {
    known: Vec<ColumnOf>,
    /// Whether there are these and no more.
    named: bool,
}

impl Table<'_> {
    /// Reads what stood in a string; how many rows it has.
    fn document(&mut self, content: &str, encoding: &str, media_type: &str) -> Result<u32, Halt> {
        let is_media = |name: &str| media_type.starts_with(name);
        let first = content.trim_start().bytes().next();
        let shape = match self.shape {
            BodyShape::Scoring if encoding == "csv" || is_media("text/csv") => BodyShape::Csv,
            BodyShape::Scoring
                if is_media("application/jsonlines") || is_media("application/x-ndjson") =>
            {
                BodyShape::JsonLines
            }
            BodyShape::Scoring if encoding == "json" || is_media("application/json") => {
                BodyShape::Scoring
            }
            // Nobody says what it is: a document begins with a bracket, a cell with none.
            BodyShape::Scoring if !matches!(first, Some(b'{' | b'[' | b'"')) => BodyShape::Csv,
            shape => shape,
        };
        match shape {
            BodyShape::Csv => self.csv(content),
            BodyShape::JsonLines => self.lines(),
            _ => {
                let mut scanner = Scanner::new(self.text, 0);
                scanner.blanks();
                let rows = self.json(&mut scanner).map_err(inside_a_string)?;
                scanner.blanks();
                match scanner.peek() {
                    None => Ok(rows),
                    Some(_) => Err(invalid("more than one value in a body")),
                }
            }
        }
    }

    fn name_by_map(&mut self, map: &MapPlan, body: &BodyPlan) {
        for column in &body.positions {
            let column = match column {
                NamedColumn::Known(target) => ColumnOf::Known(*target),
                NamedColumn::New(new) => {
                    let name = map.new.get(*new as usize).map_or("", |new| &new.name);
                    ColumnOf::New(self.row.keep(name))
                }
            };
            self.columns.known.push(column);
        }
    }

    fn csv(&mut self, content: &str) -> Result<u32, Halt> {
        let mut rows = 0_u32;
        let mut lines = csv::Lines::new(content);
        while let Some(cells) = lines.next_line().map_err(invalid)? {
            self.begin_row(rows)?;
            rows += 1;
            let single = cells.len() == 1;
            for (index, cell) in cells.iter().enumerate() {
                let column = self.position(index, single)?;
                self.cell(column, cell);
            }
            self.all_there(cells.len())?;
        }
        Ok(rows)
    }

    /// One document a line, each a row.
    fn lines(&mut self) -> Result<u32, Halt> {
        let mut rows = 0;
        let text = self.text;
        let mut scanner = Scanner::new(text, 0);
        scanner.blanks();
        while scanner.peek().is_some() {
            self.begin_row(rows)?;
            rows += 1;
            // A line is a row, or a body of one row.
            let members = match scanner.peek() {
                Some(b'{') => Some(Members::of(&mut scanner.clone())?),
                _ => None,
            };
            let inner = members.and_then(|members| self.wrapped_in(&members));
            match inner {
                Some((_, mut inner)) => {
                    scanner.skip(0)?;
                    self.only_row(&mut inner)?;
                }
                None => self.row(&mut scanner).map_err(inside_a_string)?,
            }
            scanner.blanks();
        }
        Ok(rows)
    }

    /// The one row of a body in a line.
    fn only_row(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Halt> {
        match scanner.peek() {
            Some(b'[') => {
                let mut first = scanner.clone();
                if first.enter_array() && matches!(first.peek(), Some(b'[' | b'{')) {
                    self.row(&mut first)?;
                    if first.more_elements()? {
                        return Err(wrong_shape("several rows in one line of a body"));
                    }
                    return Ok(());
                }
                self.row(scanner)
            }
            _ => self.row(scanner),
        }
    }

    /// Reads the JSON value that the scanner stands on; how many rows it has.
    fn json(&mut self, scanner: &mut Scanner<'_>) -> Result<u32, Halt> {
        match (self.shape, scanner.peek()) {
            (BodyShape::Columns, Some(b'{')) => {
                let members = Members::of(scanner)?;
                self.column_wise(&members)
            }
            (_, Some(b'{')) => {
                let whole = scanner.clone();
                let members = Members::of(scanner)?;
                match self.wrapped_in(&members) {
                    Some((key, inner)) => self.wrapped(key, inner),
                    None => self.object_form(&members, whole),
                }
            }
            (_, Some(b'[')) => self.rows(scanner),
            (_, Some(b'n')) => {
                scanner.skip(0)?;
                Ok(0)
            }
            _ => {
                self.begin_row(0)?;
                self.row(scanner)?;
                Ok(1)
            }
        }
    }

    /// The key under which an object has its rows.
    fn wrapped_in<'a>(&self, members: &Members<'a>) -> Option<(&'static str, Scanner<'a>)> {
        if members.at("columns").is_some() && members.at("data").is_some() {
            return None;
        }
        let keys: &[&'static str] = match self.part {
            Part::Features => &OF_REQUESTS,
            Part::Prediction => &OF_RESPONSES,
        };
        keys.iter().find_map(|key| Some((*key, members.at(key)?)))
    }

    fn wrapped(&mut self, key: &str, mut scanner: Scanner<'_>) -> Result<u32, Halt> {
        match scanner.peek() {
            Some(b'[') if key == "inputs" || key == "outputs" => {
                let mut first = scanner.clone();
                if first.enter_array() && first.peek() == Some(b'{') {
                    let tensor = Members::of(&mut first)?;
                    if tensor.at("datatype").is_some() || self.shape == BodyShape::Tensors {
                        return self.tensors(&mut scanner);
                    }
                }
                self.rows(&mut scanner)
            }
            Some(b'{') => {
                let whole = scanner.clone();
                let members = Members::of(&mut scanner)?;
                self.object_form(&members, whole)
            }
            Some(b'[') => self.rows(&mut scanner),
            Some(b'n') => Ok(0),
            _ => {
                self.begin_row(0)?;
                self.row(&mut scanner)?;
                Ok(1)
            }
        }
    }

    /// An object that holds rows itself: `columns` or `names` beside lists of rows, a tensor, columns of
    /// lists, or one row.
    fn object_form(&mut self, members: &Members<'_>, whole: Scanner<'_>) -> Result<u32, Halt> {
        let names = members.at("columns").or_else(|| members.at("names"));
        let rows = members.at("data").or_else(|| members.at("ndarray"));
        if let Some(mut rows) = rows
            && (names.is_some()
                || members.at("ndarray").is_some()
                || self.shape == BodyShape::Split)
        {
            if let Some(mut names) = names {
                self.name_positions(&mut names)?;
            }
            return match rows.peek() {
                Some(b'[') => self.rows(&mut rows),
                _ => Err(wrong_shape("the rows beside names are no list")),
            };
        }
        if let Some(mut tensor) = members.at("tensor") {
            if let Some(mut names) = names {
                self.name_positions(&mut names)?;
            }
            return self.plain_tensor(&Members::of(&mut tensor)?);
        }
        let first = members.all().first().and_then(|(_, value)| value.peek());
        if first == Some(b'[') {
            return self.column_wise(members);
        }
        self.begin_row(0)?;
        self.row(&mut { whole })?;
        Ok(1)
    }

    /// Names that the body itself gives its positions; those of the map win.
    fn name_positions(&mut self, names: &mut Scanner<'_>) -> Result<(), Halt> {
        if self.columns.named || names.peek() != Some(b'[') {
            return Ok(());
        }
        let mut known = Vec::new();
        let mut more = names.enter_array();
        while more {
            let Value::Text(name) = names.value()? else {
                return Err(wrong_shape("a name of a column is no text"));
            };
            let name = self.kept(name);
            known.push(self.named(name));
            more = names.more_elements()?;
        }
        self.columns = TableColumns { known, named: true };
        Ok(())
    }

    fn kept(&mut self, name: crate::json::Text<'_>) -> Span {
        let mut text = String::new();
        unescape(name, &mut text);
        self.row.keep(&text)
    }

    pub(crate) fn named(&self, name: Span) -> ColumnOf {
        let known = self.layout.keys(self.part).get(name.of("", &self.row.scratch));
        known.map_or(ColumnOf::New(name), ColumnOf::Known)
    }

    /// A list of rows.
    fn rows(&mut self, scanner: &mut Scanner<'_>) -> Result<u32, Halt> {
        let mut rows = 0;
        let mut more = scanner.enter_array();
        while more {
            self.begin_row(rows)?;
            self.row(scanner)?;
            rows += 1;
            more = scanner.more_elements()?;
        }
        Ok(rows)
    }

    /// One row: an object of columns, a list of them, or one value.
    fn row(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Halt> {
        match scanner.peek() {
            Some(b'{') => self.row_of_names(scanner),
            Some(b'[') => {
                let mut count = 0;
                let mut more = scanner.enter_array();
                while more {
                    let column = self.position(count, false)?;
                    self.put(column, scanner)?;
                    count += 1;
                    more = scanner.more_elements()?;
                }
                self.all_there(count)
            }
            Some(b'n') => Ok(scanner.skip(0)?),
            _ => {
                let column = self.position(0, true)?;
                self.put(column, scanner)?;
                self.all_there(1)
            }
        }
    }

    fn row_of_names(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Halt> {
        let layout = self.layout;
        let keys = layout.keys(self.part);
        let mut place = 0;
        let mut more = scanner.enter_object();
        while more {
            let key = scanner.key()?;
            let mut filling = self.filling();
            let name = filling.span(key);
            let text = name.of(filling.text, &filling.row.scratch);
            let (target, next) = keys.find(text, place, filling.seen);
            place = next;
            let column = target.map_or(ColumnOf::New(name), ColumnOf::Known);
            self.put(column, scanner)?;
            more = scanner.more_keys()?;
        }
        Ok(())
    }

    /// An object of columns, each a list of the rows' values.
    fn column_wise(&mut self, members: &Members<'_>) -> Result<u32, Halt> {
        let mut rows: Option<u32> = None;
        for (name, values) in members.all() {
            let name = self.row.keep(name);
            let column = self.named(name);
            let mut values = values.clone();
            if values.peek() != Some(b'[') {
                return Err(wrong_shape("a column beside lists is no list itself"));
            }
            let mut count = 0;
            let mut more = values.enter_array();
            while more {
                self.begin_row(count)?;
                self.put(column, &mut values)?;
                count += 1;
                more = values.more_elements()?;
            }
            if rows.is_some_and(|rows| rows != count) {
                return Err(wrong_shape("columns of a body have different lengths"));
            }
            rows = Some(count);
        }
        Ok(rows.unwrap_or(0))
    }

    /// Goes to the row with this index, counted from 0.
    pub(crate) fn begin_row(&mut self, index: u32) -> Result<(), Halt> {
        if self.row.go_to(index as usize + 1) { Ok(()) } else { Err(too_many()) }
    }

    /// The column at a position; `single` where a row is one value.
    pub(crate) fn position(&mut self, index: usize, single: bool) -> Result<ColumnOf, Halt> {
        if let Some(column) = self.columns.known.get(index) {
            return Ok(*column);
        }
        if self.columns.named {
            let names = self.columns.known.len();
            return Err(wrong_shape(format!("a row of more values than the {names} names")));
        }
        let name = match (single, self.part) {
            (true, Part::Prediction) => self.row.keep(SCALAR),
            _ => self.row.keep(&format!("[{index}]")),
        };
        let column = self.named(name);
        if !single {
            self.columns.known.push(column);
        }
        Ok(column)
    }

    /// Whether there are as many names as so many columns.
    pub(crate) fn all_there(&self, count: usize) -> Result<(), Halt> {
        let names = self.columns.known.len();
        if self.columns.named && count != names {
            let detail = format!("a row of {count} values, and {names} names");
            return Err(wrong_shape(detail));
        }
        Ok(())
    }

    pub(crate) fn filling(&mut self) -> Filling<'_> {
        Filling {
            layout: self.layout,
            seen: &mut self.seen,
            row: self.row,
            text: self.text,
            string_bytes: self.string_bytes,
            copied: self.copied,
        }
    }

    /// Reads a value into a column of the row.
    pub(crate) fn put(&mut self, column: ColumnOf, scanner: &mut Scanner<'_>) -> Result<(), Halt> {
        let part = self.part;
        match column {
            ColumnOf::Known(target) => Ok(self.filling().value(target, scanner, 0)?),
            ColumnOf::New(name) => Ok(self.filling().unknown(part, name, scanner, 0)?),
        }
    }

    /// Puts a value that was read into a column of the row.
    pub(crate) fn put_typed(&mut self, column: ColumnOf, value: Typed<'_>) {
        match column {
            ColumnOf::Known(target) => self.put_known(target, value),
            ColumnOf::New(name) => {
                let (row, is_null, part) =
                    (self.row.current(), matches!(value, Typed::Null), self.part);
                self.row.unknown.push(UnknownKey { row, part, name, is_null });
            }
        }
    }

    /// The same where the model knows the column.
    #[inline]
    pub(crate) fn put_known(&mut self, target: Target, value: Typed<'_>) {
        match target {
            Target::Column(column) => {
                let slot = self.filling().typed_slot(column, value);
                if let Some(place) = self.row.slot(column) {
                    *place = slot;
                }
            }
            // Not what the baseline knows: the whole is a column that nobody knows.
            Target::Nested(nested) => {
                let Some(nested) = self.layout.nested.get(nested as usize) else { return };
                let name = self.row.keep(&nested.name);
                self.put_typed(ColumnOf::New(name), value);
            }
            Target::Ignored | Target::Node(_) => {}
        }
    }

    /// Puts a cell of CSV into a column; an empty one is missing.
    fn cell(&mut self, column: ColumnOf, cell: &str) {
        let part = self.part;
        match column {
            ColumnOf::Known(Target::Column(column)) => {
                let slot = self.filling().text_slot(column, cell);
                if let Some(place) = self.row.slot(column) {
                    *place = slot;
                }
            }
            ColumnOf::Known(_) => {}
            ColumnOf::New(name) => {
                let (row, is_null) = (self.row.current(), cell.is_empty());
                self.row.unknown.push(UnknownKey { row, part, name, is_null });
            }
        }
    }

    pub(crate) fn has_names(&self) -> bool {
        self.columns.named
    }

    pub(crate) fn keep(&mut self, name: &str) -> Span {
        self.row.keep(name)
    }
}

fn invalid(detail: impl Into<String>) -> Halt {
    Halt::Rejected(Rejection::new(Reason::InvalidBody, detail))
}

/// A fault of a document in a string: its bytes are not those of the record.
fn inside_a_string(halt: Halt) -> Halt {
    match halt {
        Halt::Rejected(Rejection { reason: Reason::InvalidJson, detail }) => {
            invalid(format!("in a body, {detail}"))
        }
        halt => halt,
    }
}
