//! Every message in every version: what is read, written and read again stays the same.
//!
//! An input names a message and a version and then is its body, or says what to put into each field
//! of it, so that the deep ends of nested messages are reached too.

use bytes::Bytes;
use flumen_protocol::ApiKey;
use flumen_protocol::schema::Field;

use crate::bounds::{decoded_bytes_max, within};
use crate::dispatch::Kind;
use crate::edits::edit;
use crate::encoder::{self, Values};
use crate::input::Input;

/// Any request.
pub fn requests(data: &[u8]) {
    let mut input = Input::new(data);
    let api = *input.choose(ApiKey::ALL);
    check(Kind::Request(api), input);
}

/// Any response, and what travels inside other messages and records.
pub fn responses(data: &[u8]) {
    let mut input = Input::new(data);
    let index = input.below(ApiKey::ALL.len() + Kind::of_data().count());
    let kind = match ApiKey::ALL.get(index) {
        Some(&api) => Kind::Response(api),
        None => Kind::of_data().nth(index - ApiKey::ALL.len()).expect("the index is below the sum"),
    };
    check(kind, input);
}

/// The input that means this very body; `None` for a version that is not served.
pub fn seed(kind: Kind, version: i16, body: &[u8]) -> Option<Vec<u8>> {
    let index = match kind {
        Kind::Request(api) | Kind::Response(api) => {
            ApiKey::ALL.iter().position(|other| *other == api)?
        }
        Kind::Data(_) => ApiKey::ALL.len() + Kind::of_data().position(|other| other == kind)?,
    };
    let versions = kind.schema().versions;
    let is_served = (versions.min..=versions.max).contains(&version);
    let nth = is_served.then_some(version - versions.min)?;
    let decisions = [u8::try_from(index).ok()?, u8::try_from(nth).ok()?, 0];
    Some([&decisions, body].concat())
}

fn check(kind: Kind, mut input: Input<'_>) {
    let versions = kind.schema().versions;
    let count = usize::try_from(versions.max - versions.min).expect("versions ascend") + 1;
    let version = versions.min + i16::try_from(input.below(count)).expect("versions are few");
    match input.below(3) {
        0 => check_body(kind, version, Bytes::copy_from_slice(input.rest())),
        1 => {
            let body = Bytes::from(draw(kind, version, &mut input));
            let again = kind.reencode(body.clone(), version);
            let again = again.unwrap_or_else(|error| panic!("{kind:?} {version}: {error}"));
            assert_eq!(again, body, "{kind:?} {version}");
        }
        _ => {
            let mut body = draw(kind, version, &mut input);
            edit(&mut body, &mut input, 4);
            check_body(kind, version, body.into());
        }
    }
}

/// Checks the decoder on a body: bounded, and what it understands it can say again.
pub fn check_body(kind: Kind, version: i16, body: Bytes) {
    let decoded = within(decoded_bytes_max(body.len()), || kind.decode(body.clone(), version));
    if let Err(error) = decoded {
        assert!(!error.to_string().is_empty(), "an error says something");
        return;
    }
    let once = kind.reencode(body, version).expect("it was decoded before");
    let twice = kind.reencode(once.clone(), version);
    let twice = twice.unwrap_or_else(|error| panic!("{kind:?} {version}: {error}"));
    assert_eq!(once, twice, "{kind:?} {version}");
}

/// Encodes a message whose values the input chooses.
pub fn draw(kind: Kind, version: i16, input: &mut Input<'_>) -> Vec<u8> {
    encoder::encode(kind.schema(), version, &mut Drawn { input, tagged: 0 })
}

struct Drawn<'a, 'b> {
    input: &'a mut Input<'b>,
    /// How many tagged fields enclose the current value; in there nothing may have its default.
    tagged: usize,
}

impl Values for Drawn<'_, '_> {
    fn number(&mut self, _: &Field) -> u64 {
        let number = self.input.edgy_i64().cast_unsigned();
        // No default is a positive number of this form, except `true`, which no tagged field has.
        if self.tagged > 0 {
            number & 0x3f3f_3f3f_3f3f_3f3f | 0x0101_0101_0101_0101
        } else {
            number
        }
    }

    fn text(&mut self, field: &Field) -> Vec<u8> {
        String::from_utf8_lossy(&self.blob(field)).into_owned().into_bytes()
    }

    fn blob(&mut self, _: &Field) -> Vec<u8> {
        let mut blob = self.input.block().to_vec();
        // What is not UTF-8 triples when it is replaced, and a text has an end.
        blob.truncate(10_000);
        if blob.is_empty() && self.tagged > 0 {
            blob.push(b'x');
        }
        blob
    }

    fn count(&mut self, _: &Field) -> usize {
        let most = if self.input.is_empty() { 1 } else { 5 };
        self.input.below(most) + usize::from(self.tagged > 0)
    }

    fn is_null(&mut self, field: &Field) -> bool {
        let is_default = field.default == Some("null") && self.tagged > 0;
        !is_default && self.input.below(4) == 1
    }

    fn has_tagged(&mut self, _: &Field) -> bool {
        self.input.flag()
    }

    fn inside_tagged(&mut self, inside: bool) {
        if inside {
            self.tagged += 1;
        } else {
            self.tagged -= 1;
        }
    }
}
