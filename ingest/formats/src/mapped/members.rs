//! The members of an object of JSON, looked at in any order.

use std::borrow::Cow;

use super::walk::Halt;
use crate::json::{Scanner, unescape};

/// The keys of an object and where their values begin; of a key that stands twice, the last.
pub(crate) struct Members<'a> {
    members: Vec<(Cow<'a, str>, Scanner<'a>)>,
}

impl<'a> Members<'a> {
    /// Passes the object that the scanner stands on; nothing where it is none.
    pub(crate) fn of(scanner: &mut Scanner<'a>) -> Result<Members<'a>, Halt> {
        let mut members: Vec<(Cow<'a, str>, Scanner<'a>)> = Vec::new();
        scanner.blanks();
        if scanner.peek() != Some(b'{') {
            scanner.skip(0)?;
            return Ok(Members { members });
        }
        let mut more = scanner.enter_object();
        while more {
            let key = scanner.key()?;
            let name = match key.escaped {
                true => {
                    let mut name = String::new();
                    unescape(key, &mut name);
                    Cow::Owned(name)
                }
                false => String::from_utf8_lossy(key.raw),
            };
            members.push((name, scanner.clone()));
            scanner.skip(1)?;
            more = scanner.more_keys()?;
        }
        Ok(Members { members })
    }

    /// Every member, in the order in which they stand.
    pub(crate) fn all(&self) -> &[(Cow<'a, str>, Scanner<'a>)] {
        &self.members
    }

    /// Where the value of a key begins.
    pub(crate) fn at(&self, key: &str) -> Option<Scanner<'a>> {
        let member = self.members.iter().rev().find(|(name, _)| name == key);
        member.map(|(_, scanner)| scanner.clone())
    }
}
