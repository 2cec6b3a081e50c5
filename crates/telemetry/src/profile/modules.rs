//! The program and the libraries mapped into its memory: where they lie, and how their stack frames are unwound.

use std::fs::File;
use std::path::PathBuf;

use framehop::{CacheNative, ExplicitModuleSectionInfo, Module, UnwindRegsNative, Unwinder, UnwinderNative};
use object::{Object, ObjectSection, ObjectSegment, ReadCache};

/// Frames unwound of one stack; deeper ones are cut off.
const MAX_FRAMES: usize = 256;

/// A file whose code is mapped into memory.
pub(super) struct Mapped {
    /// Address of the first byte of its code.
    pub(super) start: u64,
    /// Address after the last byte of its code.
    pub(super) end: u64,
    /// Added to an address in the file, it gives the address in memory.
    pub(super) bias: u64,
    pub(super) path: PathBuf,
}

/// The files whose code is mapped into memory now.
pub(super) fn mapped() -> Vec<Mapped> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter_map(code).collect()
}

/// Reads a line of `/proc/self/maps` (proc(5)): `start-end perms offset device inode path`. `None` if it maps no code.
fn code(line: &str) -> Option<Mapped> {
    let mut fields = line.splitn(6, ' ');
    let (range, permissions, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let path = fields.nth(2)?.trim();
    if !permissions.contains('x') || !path.starts_with('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end, offset) = (hex(start)?, hex(end)?, hex(offset)?);
    // A program whose file was replaced while it ran can still be read under this name.
    let path =
        if path.ends_with(" (deleted)") { PathBuf::from("/proc/self/exe") } else { PathBuf::from(path) };
    let cache = ReadCache::new(File::open(&path).ok()?);
    let file = object::File::parse(&cache).ok()?;
    // A mapping begins at the page of its segment's first byte. The previous segment may end on the same page.
    let begins = |segment: &object::Segment<'_, '_, _>| (segment.file_range().0 & !0xfff) == offset;
    let holds = |segment: &object::Segment<'_, '_, _>| {
        let (at, size) = segment.file_range();
        (at..at + size).contains(&offset)
    };
    let segment = file.segments().find(begins).or_else(|| file.segments().find(holds))?;
    let address = segment.address().wrapping_add(offset).wrapping_sub(segment.file_range().0);
    Some(Mapped { start, end, bias: start.wrapping_sub(address), path })
}

/// The registers from which unwinding starts: program counter, stack pointer, frame pointer and, on ARM, link register.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Registers {
    pub(super) pc: u64,
    pub(super) sp: u64,
    pub(super) fp: u64,
    #[cfg(target_arch = "aarch64")]
    pub(super) lr: u64,
}

/// Finds the callers in a copy of a stack.
pub(super) struct Unwind {
    unwinder: UnwinderNative<Vec<u8>, framehop::MayAllocateDuringUnwind>,
    cache: CacheNative<framehop::MayAllocateDuringUnwind>,
}

impl Unwind {
    /// An unwinder for what is mapped now. It does not know libraries that are loaded later.
    pub(super) fn new() -> Self {
        let mut unwinder = UnwinderNative::new();
        for mapped in mapped() {
            if let Some(module) = module(&mapped) {
                unwinder.add_module(module);
            }
        }
        Self { unwinder, cache: CacheNative::new() }
    }

    /// The addresses of a stack, the innermost first; for callers it is the address of the call. `stack` holds the
    /// bytes from the stack pointer on.
    pub(super) fn addresses(&mut self, registers: Registers, stack: &[u8]) -> Vec<u64> {
        let mut read = |address: u64| {
            let at = usize::try_from(address.checked_sub(registers.sp).ok_or(())?).map_err(|_| ())?;
            let bytes = stack.get(at..at.checked_add(8).ok_or(())?).ok_or(())?;
            <[u8; 8]>::try_from(bytes).map(u64::from_le_bytes).map_err(|_| ())
        };
        #[cfg(target_arch = "x86_64")]
        let start = UnwindRegsNative::new(registers.pc, registers.sp, registers.fp);
        #[cfg(target_arch = "aarch64")]
        let start = UnwindRegsNative::new(registers.lr, registers.sp, registers.fp);
        let mut frames = self.unwinder.iter_frames(registers.pc, start, &mut self.cache, &mut read);
        let mut addresses = Vec::new();
        while addresses.len() < MAX_FRAMES
            && let Ok(Some(frame)) = frames.next()
        {
            addresses.push(frame.address_for_lookup());
        }
        addresses
    }
}

fn module(mapped: &Mapped) -> Option<Module<Vec<u8>>> {
    let cache = ReadCache::new(File::open(&mapped.path).ok()?);
    let file = object::File::parse(&cache).ok()?;
    let section = |name: &str| {
        let section = file.section_by_name(name)?;
        let range = section.address()..section.address() + section.size();
        Some((range, section.data().ok()?.to_vec()))
    };
    let (text, eh_frame, eh_frame_hdr) = (section(".text"), section(".eh_frame"), section(".eh_frame_hdr"));
    let got = file.section_by_name(".got").map(|got| got.address()..got.address() + got.size());
    let (text_svma, text) = text.unzip();
    let (eh_frame_svma, eh_frame) = eh_frame.unzip();
    let (eh_frame_hdr_svma, eh_frame_hdr) = eh_frame_hdr.unzip();
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma,
        text,
        got_svma: got,
        eh_frame_svma,
        eh_frame,
        eh_frame_hdr_svma,
        eh_frame_hdr,
        ..ExplicitModuleSectionInfo::default()
    };
    let name = mapped.path.display().to_string();
    Some(Module::new(name, mapped.start..mapped.end, mapped.bias, sections))
}
