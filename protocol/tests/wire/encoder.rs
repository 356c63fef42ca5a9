//! An encoder that knows nothing but the schema: it walks the fields and asks for a value for each.
//!
//! It shares no code with the encoder under test, so the two can be compared.

use flumen_protocol::schema::{Field, Message, Struct, Type};

/// Where the values come from.
pub(crate) trait Values {
    /// Bits for a number; those that do not fit its type are cut off.
    fn number(&mut self, field: &Field) -> u64;
    fn text(&mut self, field: &Field) -> Vec<u8>;
    fn blob(&mut self, field: &Field) -> Vec<u8>;
    fn count(&mut self, field: &Field) -> usize;
    fn is_null(&mut self, field: &Field) -> bool;
    /// Whether a tagged field is written; then its value must not be the default.
    fn has_tagged(&mut self, field: &Field) -> bool;
    /// Called around the value of a tagged field.
    fn inside_tagged(&mut self, inside: bool);
}

/// Encodes a message of the version with values from the source.
pub(crate) fn encode(message: &Message, version: i16, values: &mut impl Values) -> Vec<u8> {
    let flexible = message.flexible.contains(version);
    let mut encoder = Encoder { out: Vec::new(), version, flexible, values };
    encoder.structure(message.root);
    encoder.out
}

struct Encoder<'a, V> {
    out: Vec<u8>,
    version: i16,
    flexible: bool,
    values: &'a mut V,
}

impl<V: Values> Encoder<'_, V> {
    fn structure(&mut self, part: &Struct) {
        let version = self.version;
        let exists = |field: &&Field| field.versions.contains(version);
        for field in part.fields.iter().filter(exists).filter(|field| field.tag.is_none()) {
            self.field(field);
        }
        if !self.flexible {
            return;
        }
        let mut tagged: Vec<&Field> = part
            .fields
            .iter()
            .filter(exists)
            .filter(|field| field.tag.is_some() && self.values.has_tagged(field))
            .collect();
        tagged.sort_by_key(|field| field.tag);
        self.varint(tagged.len());
        for field in tagged {
            self.varint(field.tag.unwrap() as usize);
            let before = std::mem::take(&mut self.out);
            self.values.inside_tagged(true);
            self.field(field);
            self.values.inside_tagged(false);
            let content = std::mem::replace(&mut self.out, before);
            self.varint(content.len());
            self.out.extend(content);
        }
    }

    fn field(&mut self, field: &Field) {
        let can_be_null = field.nullable.contains(self.version);
        let is_null = can_be_null && self.values.is_null(field);
        match field.kind {
            Type::Struct(_) if is_null => self.out.push(0xff),
            Type::Struct(part) => {
                if can_be_null {
                    self.out.push(1);
                }
                self.structure(part);
            }
            Type::String if is_null => self.text_length(None),
            Type::Bytes | Type::Records | Type::Array(_) if is_null => self.length(None),
            kind => self.value(field, kind),
        }
    }

    fn value(&mut self, field: &Field, kind: Type) {
        match kind {
            Type::Bool => {
                let bit = u8::from(self.values.number(field) & 1 == 1);
                self.out.push(bit);
            }
            Type::Int8 => self.number(field, 1),
            Type::Int16 | Type::Uint16 => self.number(field, 2),
            Type::Int32 | Type::Uint32 => self.number(field, 4),
            Type::Int64 => self.number(field, 8),
            Type::Float64 => {
                let number = u32::try_from(self.values.number(field) & 0xffff_ffff).unwrap();
                self.out.extend(f64::from(number).to_be_bytes());
            }
            Type::Uuid => {
                self.number(field, 8);
                self.number(field, 8);
            }
            Type::String => {
                let text = self.values.text(field);
                self.text_length(Some(text.len()));
                self.out.extend(text);
            }
            Type::Bytes | Type::Records => {
                let blob = self.values.blob(field);
                self.length(Some(blob.len()));
                self.out.extend(blob);
            }
            Type::Array(element) => {
                let count = self.values.count(field);
                self.length(Some(count));
                for _ in 0..count {
                    self.value(field, *element);
                }
            }
            Type::Struct(part) => self.structure(part),
        }
    }

    fn number(&mut self, field: &Field, size: usize) {
        let bytes = self.values.number(field).to_be_bytes();
        self.out.extend(&bytes[bytes.len() - size..]);
    }

    fn text_length(&mut self, length: Option<usize>) {
        match length {
            _ if self.flexible => self.varint(length.map_or(0, |length| length + 1)),
            Some(length) => self.out.extend(i16::try_from(length).unwrap().to_be_bytes()),
            None => self.out.extend((-1_i16).to_be_bytes()),
        }
    }

    fn length(&mut self, length: Option<usize>) {
        match length {
            _ if self.flexible => self.varint(length.map_or(0, |length| length + 1)),
            Some(length) => self.out.extend(i32::try_from(length).unwrap().to_be_bytes()),
            None => self.out.extend((-1_i32).to_be_bytes()),
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value > 0x7f {
            self.out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.out.push(value.to_le_bytes()[0]);
    }
}

/// Values that can be told apart by the name of their field, as the golden bytes have them.
pub(crate) struct ByName;

impl ByName {
    /// FNV-1a of 32 bits.
    fn hash(name: &str) -> u64 {
        let hash = name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        u64::from(hash)
    }
}

impl Values for ByName {
    fn number(&mut self, field: &Field) -> u64 {
        let hash = Self::hash(field.name);
        let element = match field.kind {
            Type::Array(element) => element,
            ref kind => kind,
        };
        match element {
            Type::Bool => 1,
            Type::Int8 => hash & 0x7f,
            Type::Int16 => hash & 0x7fff,
            Type::Int32 | Type::Float64 => hash & 0x7fff_ffff,
            _ => hash,
        }
    }

    fn text(&mut self, field: &Field) -> Vec<u8> {
        field.name.as_bytes().to_vec()
    }

    fn blob(&mut self, field: &Field) -> Vec<u8> {
        field.name.as_bytes().to_vec()
    }

    fn count(&mut self, _: &Field) -> usize {
        2
    }

    fn is_null(&mut self, _: &Field) -> bool {
        false
    }

    fn has_tagged(&mut self, _: &Field) -> bool {
        true
    }

    fn inside_tagged(&mut self, _: bool) {}
}

/// Values from a generator that gives the same ones for the same seed.
pub(crate) struct Seeded {
    state: u64,
    /// How many tagged fields enclose the current value; in there nothing has its default.
    tagged: usize,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, tagged: 0 }
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below the limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn length(&mut self) -> usize {
        let shortest = u64::from(self.tagged > 0);
        let length = match self.below(8) {
            0 => shortest,
            1 => 100 + self.below(100),
            _ => shortest + self.below(12),
        };
        usize::try_from(length).unwrap()
    }
}

impl Values for Seeded {
    fn number(&mut self, field: &Field) -> u64 {
        // No default is a positive number of this form, except `true`, which no tagged field has.
        if self.tagged > 0 {
            assert_ne!(field.default, Some("true"));
            return self.next() & 0x3f3f_3f3f_3f3f_3f3f | 0x0101_0101_0101_0101;
        }
        match self.below(4) {
            0 => 0,
            1 => u64::MAX,
            _ => self.next(),
        }
    }

    fn text(&mut self, _: &Field) -> Vec<u8> {
        const LETTERS: [&str; 8] = ["a", "B", "7", "-", "_", "é", "語", "🦀"];
        let letters = (0..self.length()).map(|_| LETTERS[usize::try_from(self.below(8)).unwrap()]);
        letters.collect::<String>().into_bytes()
    }

    fn blob(&mut self, _: &Field) -> Vec<u8> {
        (0..self.length()).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn count(&mut self, _: &Field) -> usize {
        let shortest = u64::from(self.tagged > 0);
        usize::try_from(shortest + self.below(3)).unwrap()
    }

    fn is_null(&mut self, field: &Field) -> bool {
        let is_default = field.default == Some("null") && self.tagged > 0;
        !is_default && self.below(4) == 0
    }

    fn has_tagged(&mut self, _: &Field) -> bool {
        self.below(2) == 0
    }

    fn inside_tagged(&mut self, inside: bool) {
        if inside {
            self.tagged += 1;
        } else {
            self.tagged -= 1;
        }
    }
}
