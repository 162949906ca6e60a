//! One plain loop compiled for each instruction set, chosen at run time.

/// Defines functions whose body is compiled three times (AVX-512, AVX2, the target's baseline) and dispatched at run time.
///
/// The body is ordinary safe Rust that the compiler vectorises. It must not call `mul_add`: separate multiplications and
/// additions round the same on every width, so the bits do not depend on the processor.
macro_rules! lanes {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn wide($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn half($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: the features were detected just before.
                    return unsafe { wide($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature was detected just before.
                    return unsafe { half($($arg),*) };
                }
            }
            body($($arg),*)
        }
    )*};
}

pub(crate) use lanes;
