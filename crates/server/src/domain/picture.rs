//! Pictures that people upload: decoded within limits and encoded anew, so that nothing else in the file survives.

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use operation::Explain;
use std::io::Cursor;
use thiserror::Error;

/// Longest file that can be uploaded, in bytes.
pub const MOST_BYTES: usize = 1024 * 1024;
/// Longest side of a picture that can be uploaded, in pixels.
const MOST_PIXELS: u32 = 1024;
/// Longest side of the icon that is made of it, in pixels.
const ICON_PIXELS: u32 = 256;
/// Most that the decoder may need beside the file, in bytes: several times what the largest picture has.
const MOST_MEMORY: u64 = 32 * 1024 * 1024;

/// What a file is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureType {
    /// `image/png`
    Png,
    /// `image/jpeg`
    Jpeg,
}

impl PictureType {
    /// The type that a `Content-Type` names, whatever parameters it has.
    pub fn parse(text: &str) -> Option<PictureType> {
        match text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "image/png" => Some(PictureType::Png),
            "image/jpeg" => Some(PictureType::Jpeg),
            _ => None,
        }
    }

    fn format(self) -> ImageFormat {
        match self {
            PictureType::Png => ImageFormat::Png,
            PictureType::Jpeg => ImageFormat::Jpeg,
        }
    }
}

/// Why a file becomes no icon.
#[derive(Debug, Error)]
pub enum PictureError {
    /// Neither PNG nor JPEG.
    #[error("The file is no PNG or JPEG image.")]
    NoImage,
    /// One type was announced, another came.
    #[error("The file is said to be {said} and is {is}.")]
    Mismatch {
        /// The type that was announced.
        said: &'static str,
        /// What it is.
        is: &'static str,
    },
    /// Too wide or too high.
    #[error("The image has {width}×{height} pixels; an icon has at most {MOST_PIXELS}×{MOST_PIXELS}.")]
    TooManyPixels {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// It begins as an image and cannot be read.
    #[error("The image cannot be read: {reason}.")]
    Unreadable {
        /// What the decoder says.
        reason: String,
    },
}

impl Explain for PictureError {
    fn code(&self) -> &'static str {
        match self {
            PictureError::NoImage => "icon-no-image",
            PictureError::Mismatch { .. } => "icon-type-mismatch",
            PictureError::TooManyPixels { .. } => "icon-too-many-pixels",
            PictureError::Unreadable { .. } => "icon-unreadable",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            PictureError::NoImage => "Save it as PNG or JPEG.",
            PictureError::Mismatch { .. } => "Send the file's own type in the header Content-Type.",
            PictureError::TooManyPixels { .. } => {
                "Make it smaller; icons are kept with at most 256×256 pixels."
            }
            PictureError::Unreadable { .. } => "Save it again with another program.",
        };
        Some(hint.to_owned())
    }
}

/// The icon that becomes of an uploaded file: a PNG of at most 256×256 pixels, upright and in its own proportions.
pub fn icon(bytes: &[u8], said: PictureType) -> Result<Vec<u8>, PictureError> {
    let unreadable = |error: image::ImageError| PictureError::Unreadable { reason: error.to_string() };
    let is = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        _ => return Err(PictureError::NoImage),
    };
    if is != said.format() {
        return Err(PictureError::Mismatch { said: said.format().to_mime_type(), is: is.to_mime_type() });
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), is);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if width > MOST_PIXELS || height > MOST_PIXELS {
        return Err(PictureError::TooManyPixels { width, height });
    }
    let orientation = decoder.orientation().map_err(unreadable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    picture.apply_orientation(orientation);
    if width > ICON_PIXELS || height > ICON_PIXELS {
        picture = picture.resize(ICON_PIXELS, ICON_PIXELS, FilterType::Lanczos3);
    }
    let mut png = Cursor::new(Vec::new());
    picture.into_rgba8().write_to(&mut png, ImageFormat::Png).map_err(unreadable)?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Rgb, Rgba};

    fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn code(bytes: &[u8], said: PictureType) -> &'static str {
        icon(bytes, said).unwrap_err().code()
    }

    #[test]
    fn a_picture_is_made_smaller_in_its_own_proportions_and_a_small_one_stays() {
        let red = DynamicImage::from(ImageBuffer::from_pixel(1000, 500, Rgb([200_u8, 10, 10])));
        let made = icon(&written(&red, ImageFormat::Jpeg), PictureType::Jpeg).unwrap();
        let made = image::load_from_memory_with_format(&made, ImageFormat::Png).unwrap().into_rgba8();
        assert_eq!(made.dimensions(), (256, 128));
        assert!(made.pixels().all(|pixel| pixel[0] > 190 && pixel[1] < 20 && pixel[3] == 255));

        let clear = DynamicImage::from(ImageBuffer::from_fn(16, 9, |x, y| Rgba([x as u8, y as u8, 3, 40])));
        let made = icon(&written(&clear, ImageFormat::Png), PictureType::Png).unwrap();
        let made = image::load_from_memory_with_format(&made, ImageFormat::Png).unwrap();
        assert_eq!(made, clear, "pixel for pixel");
    }

    #[test]
    fn nothing_but_the_pixels_survives() {
        let picture = DynamicImage::from(ImageBuffer::from_pixel(4, 4, Rgb([1_u8, 2, 3])));
        let mut file = written(&picture, ImageFormat::Png);
        file.extend_from_slice(b"<script>alert(1)</script>");
        let made = icon(&file, PictureType::Png).unwrap();
        assert!(!made.windows(8).any(|part| part == b"<script>"));
    }

    #[test]
    fn what_is_no_picture_says_why() {
        let small = DynamicImage::from(ImageBuffer::from_pixel(4, 4, Rgb([1_u8, 2, 3])));
        let (png, jpeg) = (written(&small, ImageFormat::Png), written(&small, ImageFormat::Jpeg));
        assert_eq!(code(b"", PictureType::Png), "icon-no-image");
        assert_eq!(code(b"<svg xmlns='http://www.w3.org/2000/svg'/>", PictureType::Png), "icon-no-image");
        assert_eq!(code(b"GIF89a\x01\0\x01\0\0\0\0;", PictureType::Png), "icon-no-image");
        assert_eq!(code(&jpeg, PictureType::Png), "icon-type-mismatch");
        assert_eq!(code(&png, PictureType::Jpeg), "icon-type-mismatch");
        for cut in [10, png.len() / 2, png.len() - 20] {
            assert_eq!(code(&png[..cut], PictureType::Png), "icon-unreadable", "{cut}");
        }
        assert_eq!(code(&jpeg[..20], PictureType::Jpeg), "icon-unreadable");
        let wide = DynamicImage::new_luma8(1025, 1);
        assert_eq!(code(&written(&wide, ImageFormat::Png), PictureType::Png), "icon-too-many-pixels");
    }

    /// The header says how many pixels follow: it is refused before any is unpacked.
    #[test]
    fn a_bomb_is_refused_by_its_header() {
        let mut png = written(&DynamicImage::new_luma8(1, 1), ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let crc = crc32(&png[12..29]).to_be_bytes();
        png[29..33].copy_from_slice(&crc);
        assert_eq!(code(&png, PictureType::Png), "icon-too-many-pixels");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(
                crc ^ u32::from(*byte),
                |crc, _| {
                    if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
                },
            )
        })
    }

    #[test]
    fn a_type_is_known_with_parameters_and_in_any_case() {
        assert_eq!(PictureType::parse("Image/PNG; q=1"), Some(PictureType::Png));
        assert_eq!(PictureType::parse("image/jpeg"), Some(PictureType::Jpeg));
        assert_eq!(PictureType::parse("image/svg+xml"), None);
    }
}
