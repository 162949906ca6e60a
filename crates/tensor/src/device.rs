//! Devices by name, as they stand on a command line.

use burn::tensor::Device;

/// Why a name stands for no device of this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// No such kind of device.
    Unknown {
        /// The name.
        found: String,
    },
    /// The kind was left out when this program was built.
    NotBuilt {
        /// The name.
        found: String,
        /// The feature that has it.
        feature: &'static str,
    },
}

impl std::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown { found } => write!(f, "device {found}: expected cpu, wgpu, wgpu:I, cuda or cuda:I with a number I"),
            Self::NotBuilt { found, feature } => {
                write!(f, "device {found}: this program was built for the cpu only; it needs a build with --features {feature}")
            }
        }
    }
}

impl std::error::Error for DeviceError {}

/// The device of a name: `cpu`, and with the features of their names `wgpu[:i]` (discrete card `i`, the best one without a number)
/// and `cuda[:i]`.
///
/// ```
/// use scorefield_tensor::device_named;
/// assert!(device_named("cpu").is_ok());
/// assert!(device_named("tpu").unwrap_err().to_string().contains("expected cpu"));
/// ```
///
/// # Errors
/// For an unknown name, and for a kind that was not built in.
pub fn device_named(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown { found: name.to_owned() };
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (kind, Some(index.parse::<usize>().map_err(|_| unknown())?)),
        None => (name, None),
    };
    match (kind, index) {
        ("cpu", None) => Ok(Device::flex()),
        ("wgpu", index) => wgpu(name, index),
        ("cuda", index) => cuda(name, index),
        _ => Err(unknown()),
    }
}

#[cfg(feature = "wgpu")]
fn wgpu(_: &str, index: Option<usize>) -> Result<Device, DeviceError> {
    use burn::tensor::DeviceKind;
    Ok(Device::wgpu(index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(name: &str, _: Option<usize>) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { found: name.to_owned(), feature: "wgpu" })
}

#[cfg(feature = "cuda")]
fn cuda(_: &str, index: Option<usize>) -> Result<Device, DeviceError> {
    Ok(Device::cuda(index.unwrap_or(0)))
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _: Option<usize>) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { found: name.to_owned(), feature: "cuda" })
}
