//! Vectors as bytes: numbers of 32 bits, little-endian.

/// Bytes of a number.
const SIZE: usize = size_of::<f32>();
/// Sums kept side by side, so that the processor can add them in parallel.
const LANES: usize = 16;

/// Appends the vector's numbers, little-endian and 4 bytes each.
pub(super) fn write(out: &mut Vec<u8>, vector: &[f32]) {
    out.extend(vector.iter().flat_map(|number| number.to_le_bytes()));
}

/// The vector, if it has `dimensions` finite numbers.
pub(super) fn read(bytes: &[u8], dimensions: usize) -> Option<Vec<f32>> {
    let whole = bytes.len() == dimensions * SIZE && numbers(bytes).all(f32::is_finite);
    whole.then(|| numbers(bytes).collect())
}

/// The dot product of two vectors, which for vectors of length one is their cosine; `None` if they differ in dimensions.
pub(super) fn product(bytes: &[u8], vector: &[f32]) -> Option<f32> {
    if bytes.len() != vector.len() * SIZE {
        return None;
    }
    let mut sums = [0.0; LANES];
    for (bytes, vector) in bytes.chunks(LANES * SIZE).zip(vector.chunks(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(numbers(bytes)).zip(vector) {
            *sum += a * b;
        }
    }
    Some(sums.iter().sum())
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.chunks_exact(SIZE).map(|number| f32::from_le_bytes([number[0], number[1], number[2], number[3]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(vector in prop::collection::vec(-1.0_f32..1.0, 0..50)) {
            let mut bytes = Vec::new();
            write(&mut bytes, &vector);
            prop_assert_eq!(read(&bytes, vector.len()), Some(vector.clone()));
            prop_assert_eq!(read(&bytes, vector.len() + 1), None);
            let product = product(&bytes, &vector).expect("of one length");
            prop_assert!((product - vector.iter().map(|x| x * x).sum::<f32>()).abs() < 1e-3);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, dimensions in 0_usize..50) {
            let vector = read(&bytes, dimensions);
            prop_assert!(vector.is_none_or(|v| v.len() == dimensions && v.iter().all(|x| x.is_finite())));
            prop_assert!(product(&bytes, &[1.0; 4]).is_none() || bytes.len() == 16);
        }
    }

    #[test]
    fn what_is_no_number_is_damage() {
        for damage in [f32::NAN, f32::INFINITY] {
            let mut bytes = Vec::new();
            write(&mut bytes, &[0.5, damage]);
            assert_eq!(read(&bytes, 2), None);
        }
    }
}
