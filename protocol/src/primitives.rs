//! How each type of field is read and written, with and without null.
//!
//! The derive macro picks by the type of the struct's field, so these traits are all it needs to
//! know. Lengths are compact in flexible versions and fixed in the others.

use bytes::Bytes;

use crate::message::Structure;
use crate::reader::{DecodeError, DecodeErrorKind, Reader};
use crate::record_data::Records;
use crate::schema::Type;
use crate::uuid::Uuid;
use crate::writer::{EncodeError, FrameWriter};

/// A type that a field can have.
pub trait Value: Sized {
    const TYPE: Type;

    fn read(reader: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError>;

    fn write(
        &self,
        writer: &mut FrameWriter,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError>;

    /// The smallest number of bytes a value can take.
    fn min_size(version: i16, flexible: bool) -> usize;

    /// Says whether this is what a reader assumes when the field is missing.
    fn is_default(&self) -> bool;
}

/// A type whose encoding has a place for null.
pub trait NullableValue: Value {
    fn read_nullable(
        reader: &mut Reader,
        version: i16,
        flexible: bool,
    ) -> Result<Option<Self>, DecodeError>;

    fn write_nullable(
        value: Option<&Self>,
        writer: &mut FrameWriter,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError>;

    /// The number of bytes null takes, which no present value goes below.
    fn null_size(flexible: bool) -> usize;
}

fn required<T>(value: Option<T>, reader: &Reader) -> Result<T, DecodeError> {
    value.ok_or_else(|| reader.error(DecodeErrorKind::UnexpectedNull))
}

macro_rules! fixed_size {
    ($($type:ty, $kind:ident, $size:literal, $read:ident, $put:ident, $zero:expr;)*) => {$(
        impl Value for $type {
            const TYPE: Type = Type::$kind;

            #[inline]
            fn read(reader: &mut Reader, _: i16, _: bool) -> Result<Self, DecodeError> {
                reader.$read()
            }

            #[inline]
            fn write(&self, writer: &mut FrameWriter, _: i16, _: bool) -> Result<(), EncodeError> {
                writer.$put(*self);
                Ok(())
            }

            #[inline]
            fn min_size(_: i16, _: bool) -> usize {
                $size
            }

            #[inline]
            fn is_default(&self) -> bool {
                *self == $zero
            }
        }
    )*};
}

fixed_size! {
    i8, Int8, 1, read_i8, put_i8, 0;
    i16, Int16, 2, read_i16, put_i16, 0;
    u16, Uint16, 2, read_u16, put_u16, 0;
    i32, Int32, 4, read_i32, put_i32, 0;
    u32, Uint32, 4, read_u32, put_u32, 0;
    i64, Int64, 8, read_i64, put_i64, 0;
    f64, Float64, 8, read_f64, put_f64, 0.0;
    Uuid, Uuid, 16, read_uuid, put_uuid, Self::ZERO;
}

impl Value for bool {
    const TYPE: Type = Type::Bool;

    #[inline]
    fn read(reader: &mut Reader, _: i16, _: bool) -> Result<Self, DecodeError> {
        Ok(reader.read_i8()? != 0)
    }

    #[inline]
    fn write(&self, writer: &mut FrameWriter, _: i16, _: bool) -> Result<(), EncodeError> {
        writer.put_i8(i8::from(*self));
        Ok(())
    }

    #[inline]
    fn min_size(_: i16, _: bool) -> usize {
        1
    }

    #[inline]
    fn is_default(&self) -> bool {
        !*self
    }
}

/// Implements [`Value`] by way of [`NullableValue`], with null refused.
macro_rules! never_null {
    ($type:ty, $kind:expr $(, $parameter:ident: $bound:ident)?) => {
        impl$(<$parameter: $bound>)? Value for $type {
            const TYPE: Type = $kind;

            #[inline]
            fn read(reader: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError> {
                let value = Self::read_nullable(reader, version, flexible)?;
                required(value, reader)
            }

            #[inline]
            fn write(
                &self,
                writer: &mut FrameWriter,
                version: i16,
                flexible: bool,
            ) -> Result<(), EncodeError> {
                Self::write_nullable(Some(self), writer, version, flexible)
            }

            #[inline]
            fn min_size(_: i16, flexible: bool) -> usize {
                Self::null_size(flexible)
            }

            #[inline]
            fn is_default(&self) -> bool {
                self.is_empty()
            }
        }
    };
}

never_null!(String, Type::String);
never_null!(Bytes, Type::Bytes);
never_null!(Records, Type::Records);
never_null!(Vec<T>, Type::Array(&T::TYPE), T: Value);

impl NullableValue for String {
    #[inline]
    fn read_nullable(
        reader: &mut Reader,
        _: i16,
        flexible: bool,
    ) -> Result<Option<Self>, DecodeError> {
        match reader.read_text_length(flexible)? {
            Some(size) => reader.read_text(size).map(Some),
            None => Ok(None),
        }
    }

    #[inline]
    fn write_nullable(
        value: Option<&Self>,
        writer: &mut FrameWriter,
        _: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.put_text(value.map(Self::as_str), flexible)
    }

    #[inline]
    fn null_size(flexible: bool) -> usize {
        if flexible { 1 } else { 2 }
    }
}

/// The size of a length of four bytes, or of a compact one that says null or empty.
#[inline]
fn length_size(flexible: bool) -> usize {
    if flexible { 1 } else { 4 }
}

impl NullableValue for Bytes {
    #[inline]
    fn read_nullable(
        reader: &mut Reader,
        _: i16,
        flexible: bool,
    ) -> Result<Option<Self>, DecodeError> {
        match reader.read_length(flexible)? {
            Some(size) => reader.read_slice(size).map(Some),
            None => Ok(None),
        }
    }

    #[inline]
    fn write_nullable(
        value: Option<&Self>,
        writer: &mut FrameWriter,
        _: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.put_length(value.map(Self::len), flexible)?;
        if let Some(bytes) = value {
            writer.put_slice(bytes);
        }
        Ok(())
    }

    #[inline]
    fn null_size(flexible: bool) -> usize {
        length_size(flexible)
    }
}

impl NullableValue for Records {
    #[inline]
    fn read_nullable(
        reader: &mut Reader,
        version: i16,
        flexible: bool,
    ) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(reader, version, flexible)?.map(Self::Bytes))
    }

    #[inline]
    fn write_nullable(
        value: Option<&Self>,
        writer: &mut FrameWriter,
        _: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.put_records(value, flexible)
    }

    #[inline]
    fn null_size(flexible: bool) -> usize {
        length_size(flexible)
    }
}

impl<T: Value> NullableValue for Vec<T> {
    #[inline]
    fn read_nullable(
        reader: &mut Reader,
        version: i16,
        flexible: bool,
    ) -> Result<Option<Self>, DecodeError> {
        match reader.read_length(flexible)? {
            Some(count) => {
                let element_size = T::min_size(version, flexible);
                reader
                    .read_elements(count, element_size, |reader| T::read(reader, version, flexible))
                    .map(Some)
            }
            None => Ok(None),
        }
    }

    #[inline]
    fn write_nullable(
        value: Option<&Self>,
        writer: &mut FrameWriter,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.put_length(value.map(Self::len), flexible)?;
        for element in value.into_iter().flatten() {
            element.write(writer, version, flexible)?;
        }
        Ok(())
    }

    #[inline]
    fn null_size(flexible: bool) -> usize {
        length_size(flexible)
    }
}

impl<T: Structure> Value for T {
    const TYPE: Type = Type::Struct(T::SCHEMA);

    #[inline]
    fn read(reader: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Structure::read(reader, version, flexible)
    }

    #[inline]
    fn write(
        &self,
        writer: &mut FrameWriter,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        Structure::write(self, writer, version, flexible)
    }

    #[inline]
    fn min_size(version: i16, flexible: bool) -> usize {
        <Self as Structure>::min_size(version, flexible)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A struct that may be null has one byte in front: -1 for null, 1 for present.
impl<T: Structure> NullableValue for T {
    fn read_nullable(
        reader: &mut Reader,
        version: i16,
        flexible: bool,
    ) -> Result<Option<Self>, DecodeError> {
        match reader.read_i8()? {
            -1 => Ok(None),
            1 => Structure::read(reader, version, flexible).map(Some),
            marker => Err(reader.error(DecodeErrorKind::InvalidNullMarker { marker })),
        }
    }

    fn write_nullable(
        value: Option<&Self>,
        writer: &mut FrameWriter,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => {
                writer.put_i8(1);
                Structure::write(value, writer, version, flexible)
            }
            None => {
                writer.put_i8(-1);
                Ok(())
            }
        }
    }

    fn null_size(_: bool) -> usize {
        1
    }
}
