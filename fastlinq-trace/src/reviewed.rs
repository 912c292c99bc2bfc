//! The list of differences that somebody looked at, with the reason of each.

use core::fmt;

use serde::Deserialize;

use crate::compare::Difference;

/// One entry of the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The item; `*` stands for any characters, `?` for one.
    pub item: String,
    /// In what way it differs, as a difference says it; `any` for every way.
    pub what: String,
    /// Places that may differ at most; no limit when absent.
    pub places: Option<usize>,
    /// Why that is right.
    pub reason: String,
}

impl Entry {
    fn covers(&self, difference: &Difference) -> bool {
        let item = matches(self.item.as_bytes(), difference.item.as_bytes());
        item && (self.what == "any" || self.what == difference.what.name())
            && self.places.is_none_or(|most| difference.places <= most)
    }
}

/// The list.
///
/// # Examples
///
/// ```
/// let list = r#"
///     [[difference]]
///     item = "registers/PGLUE_B.MASTER_WRITE_PAD_ENABLE"
///     what = "zeroed in A only"
///     places = 1
///     reason = "0 after reset, and nothing else writes it"
/// "#;
/// let reviewed = fastlinq_trace::Reviewed::parse(list)?;
/// assert_eq!(reviewed.entries().len(), 1);
/// # Ok::<_, fastlinq_trace::ListError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    #[serde(default, rename = "difference")]
    entries: Vec<Entry>,
}

/// What a list makes of differences.
#[derive(Clone, Debug)]
pub struct Review<'a> {
    /// Differences that are not on the list.
    pub open: Vec<&'a Difference>,
    /// Number of differences that are.
    pub covered: usize,
    /// Entries that cover nothing any more.
    pub stale: Vec<&'a Entry>,
}

/// A list that cannot be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ListError {
    /// It is no TOML of the expected form.
    Form(toml::de::Error),
    /// The entry for an item gives no reason.
    NoReason(String),
    /// The entry for an item has a `what` that no difference has.
    UnknownWhat(String, String),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => error.fmt(f),
            Self::NoReason(item) => write!(f, "{item}: no reason is given"),
            Self::UnknownWhat(item, what) => write!(f, "{item}: no difference is called {what:?}"),
        }
    }
}

impl core::error::Error for ListError {}

/// Whether `text` is of the form of `pattern`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last star has to take one character more.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// What an entry may say.
const WHATS: [&str; 7] = [
    "differs",
    "only in A",
    "zeroed in A only",
    "only in B",
    "zeroed in B only",
    "order",
    "any",
];

impl Reviewed {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// [`ListError`].
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let list: Self = toml::from_str(text).map_err(ListError::Form)?;
        for entry in &list.entries {
            if entry.reason.trim().is_empty() {
                return Err(ListError::NoReason(entry.item.clone()));
            }
            if !WHATS.contains(&entry.what.as_str()) {
                return Err(ListError::UnknownWhat(
                    entry.item.clone(),
                    entry.what.clone(),
                ));
            }
        }
        Ok(list)
    }

    /// The entries, as written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Holds differences against the list.
    pub fn review<'a>(&'a self, differences: &'a [Difference]) -> Review<'a> {
        let mut used = vec![false; self.entries.len()];
        let mut open = Vec::new();
        for difference in differences {
            let mut covered = false;
            for (entry, used) in self.entries.iter().zip(&mut used) {
                if entry.covers(difference) {
                    *used = true;
                    covered = true;
                }
            }
            if !covered {
                open.push(difference);
            }
        }
        Review {
            covered: differences.len() - open.len(),
            open,
            stale: self
                .entries
                .iter()
                .zip(used)
                .filter(|(_, used)| !used)
                .map(|(entry, _)| entry)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::What;

    fn difference(item: &str, what: What, places: usize) -> Difference {
        Difference {
            item: item.into(),
            what,
            places,
            examples: Vec::new(),
        }
    }

    fn list(item: &str, what: &str, more: &str) -> Result<Reviewed, ListError> {
        Reviewed::parse(&format!(
            "[[difference]]\nitem = \"{item}\"\nwhat = \"{what}\"\nreason = \"r\"\n{more}"
        ))
    }

    #[test]
    fn an_entry_covers_what_it_names_and_no_more() {
        let differences = [
            difference("registers/QM.A", What::Differs, 2),
            difference("registers/QM.B", What::OnlyA, 3),
        ];
        let open = |reviewed: Reviewed| reviewed.review(&differences).open.len();
        assert_eq!(open(list("registers/QM.A", "differs", "").unwrap()), 1);
        assert_eq!(open(list("registers/QM.A", "order", "").unwrap()), 2);
        assert_eq!(open(list("registers/QM.*", "any", "").unwrap()), 0);
        assert_eq!(
            open(list("registers/QM.*", "any", "places = 2").unwrap()),
            1
        );
        let reviewed = list("registers/PRS.*", "any", "").unwrap();
        let review = reviewed.review(&differences);
        assert_eq!((review.stale.len(), review.covered), (1, 0));
    }

    #[test]
    fn patterns_match_as_a_whole() {
        let matches = |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes());
        assert!(matches("a/B.*PTP*", "a/B.RX_PTP_EN"));
        assert!(matches("a.*", "a."));
        assert!(matches("?A.?B", "XA.YB"));
        assert!(matches("a*b*c", "abxbxc"));
        assert!(!matches("a*b*c", "abxbx"));
        assert!(!matches("a.b", "a.bc"));
        assert!(!matches("a?", "a"));
    }

    #[test]
    fn lists_without_sense_are_refused() {
        assert!(matches!(
            Reviewed::parse("[[difference]]\nitem = \"a\"\nwhat = \"any\"\nreason = \" \""),
            Err(ListError::NoReason(_))
        ));
        assert!(matches!(
            list("a", "somehow", ""),
            Err(ListError::UnknownWhat(..))
        ));
        assert!(matches!(
            list("a", "any", "more = 1"),
            Err(ListError::Form(_))
        ));
    }
}
