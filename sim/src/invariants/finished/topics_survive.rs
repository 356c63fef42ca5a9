//! M2: what was acknowledged about a topic is still so in the end.

use crate::operations::Operations;

pub(super) fn check(operations: &Operations) -> Result<(), String> {
    for (name, life) in &operations.topics {
        if life.is_created && !life.was_deletion_tried && !life.is_found {
            return Err(format!("{name} was created and is gone"));
        }
        if life.is_deleted && life.is_found {
            return Err(format!("{name} was deleted and is there"));
        }
    }
    Ok(())
}
