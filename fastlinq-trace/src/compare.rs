//! Differences between two bring-ups.

use std::collections::BTreeMap;
use std::fmt;

use fastlinq_pac::Chip;

use crate::follow::{Call, Exchange};
use crate::names;
use crate::names::structures::{Field, Shown};
use crate::outcome::{Cell, Content, Outcome};

/// Examples that a difference keeps.
const EXAMPLES: usize = 12;
/// Longest sequences that are aligned step by step; of longer ones the rest is compared by position.
const MAX_ALIGNED: usize = 2000;

/// In what way an item differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Both have it, with different values.
    Differs,
    /// Only the first has it.
    OnlyA,
    /// Only the first has it, and it is the value 0.
    OnlyAZero,
    /// Only the second has it.
    OnlyB,
    /// Only the second has it, and it is the value 0.
    OnlyBZero,
    /// Both have it, at another place of the sequence.
    Order,
}

impl What {
    /// The word for it in the list of reviewed differences.
    pub fn name(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::OnlyA => "only in A",
            Self::OnlyAZero => "zeroed in A only",
            Self::OnlyB => "only in B",
            Self::OnlyBZero => "zeroed in B only",
            Self::Order => "order",
        }
    }
}

/// A difference: all places of one item that differ in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `registers/BLOCK.NAME`, `mailbox/COMMAND` or `ramrods/PROTOCOL NAME`, with a part of it behind.
    pub item: String,
    /// In what way.
    pub what: What,
    /// How many places: elements of an array and banks of a register, or occurrences.
    pub places: usize,
    /// The first of them.
    pub examples: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.item, self.what.name())?;
        if self.places > 1 {
            write!(f, " at {} places", self.places)?;
        }
        for example in &self.examples {
            write!(f, "\n    {example}")?;
        }
        if self.places > self.examples.len() && !self.examples.is_empty() {
            write!(f, "\n    ...")?;
        }
        Ok(())
    }
}

/// Collects places into differences.
#[derive(Default)]
struct Book(BTreeMap<(String, What), (usize, Vec<String>)>);

impl Book {
    fn enter(&mut self, item: &str, what: What, example: impl FnOnce() -> String) {
        let (places, examples) = self.0.entry((item.to_owned(), what)).or_default();
        *places += 1;
        if examples.len() < EXAMPLES {
            let example = example();
            if !example.is_empty() {
                examples.push(example);
            }
        }
    }

    fn close(self) -> Vec<Difference> {
        self.0
            .into_iter()
            .map(|((item, what), (places, examples))| Difference {
                item,
                what,
                places,
                examples,
            })
            .collect()
    }
}

/// Every difference between two bring-ups, in the order of their items.
pub fn compare(a: &Outcome, b: &Outcome) -> Vec<Difference> {
    let mut book = Book::default();
    contents(a, b, &mut book);
    mailbox(a, b, &mut book);
    ramrods(a, b, &mut book);
    book.close()
}

/// The differences of the mailbox and of ramrods alone: these do not depend on the contents of the storm firmware.
pub fn compare_requests(a: &Outcome, b: &Outcome) -> Vec<Difference> {
    let mut book = Book::default();
    mailbox(a, b, &mut book);
    ramrods(a, b, &mut book);
    book.close()
}

fn contents(a: &Outcome, b: &Outcome, book: &mut Book) {
    let chip = a.header.chip;
    let mut enter = |cell: &Cell, what: What, values: String| {
        let place = names::place(chip, cell.address);
        let item = format!("registers/{}.{}", place.block, item_name(&place.name));
        book.enter(&item, what, || {
            let bank = cell
                .bank
                .map_or(String::new(), |bank| format!(" of {bank}"));
            format!("{:#x} {place}{bank}: {values}", cell.address)
        });
    };
    for (cell, &left) in &a.contents {
        match b.contents.get(cell) {
            Some(&right) if left.agrees(right) => {}
            Some(&right) => enter(cell, What::Differs, format!("{left} / {right}")),
            None => enter(
                cell,
                only(left, What::OnlyA, What::OnlyAZero),
                left.to_string(),
            ),
        }
    }
    for (cell, &right) in &b.contents {
        if !a.contents.contains_key(cell) {
            enter(
                cell,
                only(right, What::OnlyB, What::OnlyBZero),
                right.to_string(),
            );
        }
    }
}

/// Places without a name are one item for each block.
fn item_name(name: &str) -> &str {
    if name.starts_with("0x") {
        "unnamed"
    } else {
        name
    }
}

fn only(content: Content, value: What, zero: What) -> What {
    if content.is_zero() { zero } else { value }
}

fn mailbox(a: &Outcome, b: &Outcome, book: &mut Book) {
    let keys = |outcome: &Outcome| -> Vec<_> {
        let exchanges = &outcome.exchanges;
        exchanges.iter().map(Exchange::key).collect()
    };
    sequence(
        "mailbox",
        (&keys(a), |index| a.exchanges[index].name()),
        (&keys(b), |index| b.exchanges[index].name()),
        book,
        |item, left, right, book| {
            let (left, right) = (&a.exchanges[left], &b.exchanges[right]);
            if left.parameter != right.parameter {
                book.enter(&format!("{item}.parameter"), What::Differs, || {
                    format!("{:#x} / {:#x}", left.parameter, right.parameter)
                });
            }
            fields(item, &left.fields(), &right.fields(), book);
            if left.answer != right.answer {
                let shown = |answer: Option<(u16, u32)>| match answer {
                    Some((code, parameter)) => format!("{} {parameter:#x}", names::response(code)),
                    None => "none".to_owned(),
                };
                book.enter(&format!("{item}.answer"), What::Differs, || {
                    format!("{} / {}", shown(left.answer), shown(right.answer))
                });
            }
        },
    );
}

fn ramrods(a: &Outcome, b: &Outcome, book: &mut Book) {
    let keys = |outcome: &Outcome| -> Vec<_> { outcome.calls.iter().map(Call::key).collect() };
    sequence(
        "ramrods",
        (&keys(a), |index| a.calls[index].name()),
        (&keys(b), |index| b.calls[index].name()),
        book,
        |item, left, right, book| {
            let (left, right) = (&a.calls[left], &b.calls[right]);
            if left.cid != right.cid {
                book.enter(&format!("{item}.cid"), What::Differs, || {
                    format!("{:#x} / {:#x}", left.cid, right.cid)
                });
            }
            if left.return_code != right.return_code {
                book.enter(&format!("{item}.return_code"), What::Differs, || {
                    format!("{} / {}", left.return_code, right.return_code)
                });
            }
            fields(item, &left.fields(), &right.fields(), book);
        },
    );
}

fn fields(item: &str, left: &[Field], right: &[Field], book: &mut Book) {
    let by_name = |fields: &[Field]| -> BTreeMap<String, (u64, bool)> {
        fields
            .iter()
            .map(|field| (field.name.clone(), (field.value, field.address)))
            .collect()
    };
    let (left, right) = (by_name(left), by_name(right));
    for (name, &(value, address)) in &left {
        let item = format!("{item}.{name}");
        match right.get(name) {
            Some(&(other, _)) if other == value => {}
            Some(&(other, _)) => book.enter(&item, What::Differs, || {
                format!("{} / {}", Shown(value, address), Shown(other, address))
            }),
            None => book.enter(&item, What::OnlyA, || Shown(value, address).to_string()),
        }
    }
    for (name, &(value, address)) in &right {
        if !left.contains_key(name) {
            book.enter(&format!("{item}.{name}"), What::OnlyB, || {
                Shown(value, address).to_string()
            });
        }
    }
}

/// Compares two sequences of requests: what only one has, what is at another place, and what belongs together.
fn sequence<K: PartialEq>(
    kind: &str,
    (a, name_a): (&[K], impl Fn(usize) -> String),
    (b, name_b): (&[K], impl Fn(usize) -> String),
    book: &mut Book,
    mut pair: impl FnMut(&str, usize, usize, &mut Book),
) {
    let mut left_over = Vec::new();
    let mut right_over = Vec::new();
    for step in align(a, b) {
        match step {
            (Some(left), Some(right)) => {
                pair(&format!("{kind}/{}", name_a(left)), left, right, book);
            }
            (Some(left), None) => left_over.push(left),
            (None, Some(right)) => right_over.push(right),
            (None, None) => {}
        }
    }
    for left in left_over {
        let item = format!("{kind}/{}", name_a(left));
        match right_over.iter().position(|&right| b[right] == a[left]) {
            Some(position) => {
                let right = right_over.remove(position);
                book.enter(&item, What::Order, || {
                    format!("number {} / number {}", left + 1, right + 1)
                });
                pair(&item, left, right, book);
            }
            None => book.enter(&item, What::OnlyA, || format!("number {}", left + 1)),
        }
    }
    for right in right_over {
        let item = format!("{kind}/{}", name_b(right));
        book.enter(&item, What::OnlyB, || format!("number {}", right + 1));
    }
}

/// Pairs equal elements in order, as many as possible (longest common subsequence).
fn align<K: PartialEq>(a: &[K], b: &[K]) -> Vec<(Option<usize>, Option<usize>)> {
    let (rows, columns) = (a.len().min(MAX_ALIGNED), b.len().min(MAX_ALIGNED));
    let mut lengths = vec![vec![0u16; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            lengths[row][column] = if a[row] == b[column] {
                lengths[row + 1][column + 1] + 1
            } else {
                lengths[row + 1][column].max(lengths[row][column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut steps = Vec::new();
    while row < rows && column < columns {
        if a[row] == b[column] {
            steps.push((Some(row), Some(column)));
            row += 1;
            column += 1;
        } else if lengths[row + 1][column] >= lengths[row][column + 1] {
            steps.push((Some(row), None));
            row += 1;
        } else {
            steps.push((None, Some(column)));
            column += 1;
        }
    }
    steps.extend((row..a.len()).map(|row| (Some(row), None)));
    steps.extend((column..b.len()).map(|column| (None, Some(column))));
    steps
}

/// The chips of two traces differ: their contents cannot be compared.
pub fn same_chip(a: &Outcome, b: &Outcome) -> Result<Chip, (Chip, Chip)> {
    let (left, right) = (a.header.chip, b.header.chip);
    if left == right {
        Ok(left)
    } else {
        Err((left, right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Header;
    use crate::outcome::Effort;
    use fastlinq_model::Function;

    fn outcome() -> Outcome {
        Outcome {
            header: Header {
                chip: Chip::K2,
                origin: String::new(),
            },
            contents: BTreeMap::new(),
            exchanges: Vec::new(),
            calls: Vec::new(),
            effort: [Effort::default(); 3],
            violations: Vec::new(),
        }
    }

    fn cell(address: u32) -> Cell {
        Cell {
            address,
            bank: Some(Function::pf(0)),
        }
    }

    fn listed(differences: &[Difference]) -> Vec<(&str, What, usize)> {
        differences
            .iter()
            .map(|d| (d.item.as_str(), d.what, d.places))
            .collect()
    }

    #[test]
    fn contents_are_compared_by_register() {
        let (mut a, mut b) = (outcome(), outcome());
        a.contents.insert(cell(0x18_0800), Content::Value(1));
        b.contents.insert(cell(0x18_0800), Content::Value(0xb));
        for index in 0..20 {
            a.contents
                .insert(cell(0x18_4000 + 4 * index), Content::Value(0));
        }
        b.contents.insert(cell(0x18_082c), Content::Value(3));
        let differences = compare(&a, &b);
        assert_eq!(
            listed(&differences),
            [
                ("registers/IGU.LEADING_EDGE_LATCH", What::OnlyB, 1),
                ("registers/IGU.MAPPING_MEMORY", What::OnlyAZero, 20),
                ("registers/IGU.PF_CONFIGURATION", What::Differs, 1),
            ]
        );
        assert!(differences[2].to_string().contains("PF 0: 0x1 / 0xb"));
        assert_eq!(differences[1].examples.len(), EXAMPLES);
        assert!(compare(&a, &a).is_empty());
    }

    #[test]
    fn requests_are_paired_in_order() {
        let (mut a, mut b) = (outcome(), outcome());
        let exchange = |command, parameter| Exchange {
            command,
            parameter,
            ..Exchange::default()
        };
        a.exchanges = vec![
            exchange(0x1000, 0),
            exchange(0x1100, 1),
            exchange(0x2000, 0),
        ];
        b.exchanges = vec![
            exchange(0x1000, 0),
            exchange(0x3200, 0),
            exchange(0x1100, 2),
        ];
        let names: Vec<_> = compare(&a, &b)
            .into_iter()
            .map(|d| (d.item, d.what))
            .collect();
        let command = |code| format!("mailbox/{}", names::command(code));
        assert!(names.contains(&(format!("{}.parameter", command(0x1100)), What::Differs)));
        assert!(names.contains(&(command(0x2000), What::OnlyA)));
        assert!(names.contains(&(command(0x3200), What::OnlyB)));
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn a_moved_request_is_a_difference_of_order_and_still_compared() {
        let (mut a, mut b) = (outcome(), outcome());
        let call = |command, cid| Call {
            protocol: 1,
            command,
            cid,
            return_code: 0,
            data: Vec::new(),
        };
        a.calls = vec![call(1, 0), call(2, 0), call(3, 0)];
        b.calls = vec![call(3, 5), call(1, 0), call(2, 0)];
        let whats: Vec<_> = compare(&a, &b).iter().map(|d| d.what).collect();
        assert_eq!(whats, [What::Order, What::Differs]);
    }
}
