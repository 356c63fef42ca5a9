//! M2: a setting has the value that was acknowledged last, or one that was asked for later.
//!
//! A change that was not acknowledged may have been carried out, and late.

use crate::operations::{Operations, SettingLife};

pub(crate) fn check(operations: &Operations) -> Result<(), String> {
    for (name, life) in &operations.settings {
        let SettingLife { asked, acknowledged, found } = life;
        let Some(last) = acknowledged.last() else { continue };
        let may_be = |place: &usize| place >= last || !acknowledged.contains(place);
        let mut possible = asked.iter().enumerate().filter(|(place, _)| may_be(place));
        let is_possible = possible.any(|(_, value)| found.as_ref() == Some(value));
        if !is_possible {
            return Err(format!("{name} is {found:?} after {life:?}"));
        }
    }
    Ok(())
}
