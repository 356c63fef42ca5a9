//! M2: what was acknowledged about a topic is still so in the end.
//!
//! A creation whose answer was lost is asked for again, and the first request may be carried out after
//! the topic was deleted: then there is a topic of that name, with another id.

use crate::operations::Operations;

pub(crate) fn check(operations: &Operations) -> Result<(), String> {
    for (name, life) in &operations.topics {
        if life.is_created && !life.was_deletion_tried {
            match life.found {
                None => return Err(format!("{name} was created and is gone")),
                Some(found) if life.id.is_some_and(|id| id != found) => {
                    return Err(format!("{name} was created and is another topic"));
                }
                Some(_) => {}
            }
        }
        if life.is_deleted && life.id.is_some() && life.found == life.id {
            return Err(format!("{name} was deleted and is there"));
        }
    }
    Ok(())
}
