//! Frames in which each array promises as much as the rest of the frame could hold.

use flumen_protocol::schema::{Field, Message, Struct, Type};

use crate::{arrays, smallest};

/// A frame in which each array on the way to the target promises as much as could follow.
pub(crate) fn frame(schema: &Message, version: i16, target: &str) -> Vec<u8> {
    let flexible = schema.flexible.contains(version);
    let mut greedy = Greedy { out: Vec::new(), version, flexible, target };
    greedy.structure(schema.root);
    greedy.out.resize(Greedy::SIZE, 0);
    greedy.out
}

struct Greedy<'a> {
    out: Vec<u8>,
    version: i16,
    flexible: bool,
    target: &'a str,
}

impl Greedy<'_> {
    const SIZE: usize = 256 * 1024;

    /// Writes zeros and empty values up to the array that leads on; says whether there was one.
    fn structure(&mut self, part: &Struct) -> bool {
        let version = self.version;
        for field in part.fields.iter().filter(|field| field.versions.contains(version)) {
            let leads_on = field.tag.is_none() && self.leads_to_target(field);
            match field.kind {
                Type::Array(element) if leads_on => {
                    self.count(
                        (Self::SIZE - self.out.len())
                            / smallest::size(element, self.version, self.flexible),
                    );
                    if let (Type::Struct(element), false) = (element, field.name == self.target) {
                        self.structure(element);
                    }
                    return true;
                }
                Type::Struct(part) if field.tag.is_none() => {
                    if !field.nullable.is_empty() {
                        self.out.push(1);
                    }
                    if self.structure(part) {
                        return true;
                    }
                }
                ref plain if field.tag.is_none() => {
                    let size = smallest::size(plain, version, self.flexible);
                    let empty = u8::from(self.flexible && is_counted(plain));
                    self.out.resize(self.out.len() + size, empty);
                }
                _ => {}
            }
        }
        if self.flexible {
            self.out.push(0);
        }
        false
    }

    fn leads_to_target(&self, field: &Field) -> bool {
        match field.kind {
            Type::Array(_) if field.name == self.target => true,
            Type::Array(Type::Struct(element)) => arrays(element).contains(&self.target),
            _ => false,
        }
    }

    fn count(&mut self, count: usize) {
        let mut rest = u32::try_from(count).unwrap();
        if !self.flexible {
            self.out.extend(rest.to_be_bytes());
            return;
        }
        rest += 1;
        while rest > 0x7f {
            self.out.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.out.push(rest.to_le_bytes()[0]);
    }
}

fn is_counted(kind: &Type) -> bool {
    matches!(kind, Type::String | Type::Bytes | Type::Records | Type::Array(_))
}
