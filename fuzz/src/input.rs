//! Reads decisions from the front of a fuzz input. Past its end everything is zero, so that every
//! input means something and a short one means something simple.

/// The bytes that are left.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// At most `size` bytes.
    pub fn take(&mut self, size: usize) -> &'a [u8] {
        let (front, rest) = self.rest.split_at(size.min(self.rest.len()));
        self.rest = rest;
        front
    }

    /// Bytes with their length in front: a short one, or two bytes behind 255.
    pub fn block(&mut self) -> &'a [u8] {
        let size = match self.byte() {
            u8::MAX => self.number(2) as usize,
            short => usize::from(short),
        };
        self.take(size)
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number of up to eight bytes.
    pub fn number(&mut self, size: usize) -> u64 {
        self.take(size).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// A number that is often close to where arithmetic ends.
    pub fn edgy_i64(&mut self) -> i64 {
        let selector = self.byte();
        let small = i64::from(selector >> 3);
        match selector & 0b111 {
            0 | 1 => small,
            2 => -small,
            3 => i64::MAX - small,
            4 => i64::MIN + small,
            5 => i64::from(i32::MAX) - 8 + small,
            6 => 1_700_000_000_000 + self.number(2).cast_signed(),
            _ => self.number(8).cast_signed(),
        }
    }

    /// As [`Input::edgy_i64`], cut to 32 bits.
    pub fn edgy_i32(&mut self) -> i32 {
        let [.., a, b, c, d] = self.edgy_i64().to_be_bytes();
        i32::from_be_bytes([a, b, c, d])
    }

    /// As [`Input::edgy_i64`], cut to 16 bits.
    pub fn edgy_i16(&mut self) -> i16 {
        let [.., a, b] = self.edgy_i64().to_be_bytes();
        i16::from_be_bytes([a, b])
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let size = if limit <= 1 << 8 { 1 } else { 4 };
        usize::try_from(self.number(size)).expect("four bytes fit") % limit
    }

    /// One of several.
    pub fn choose<'b, T>(&mut self, choices: &'b [T]) -> &'b T {
        &choices[self.below(choices.len())]
    }
}
