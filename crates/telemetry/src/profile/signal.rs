//! The signal that takes samples.
//!
//! The kernel sends SIGPROF to a running thread each time the process has used another interval of CPU time
//! (setitimer(2), `ITIMER_PROF`). The handler copies registers, stack and tag into a free slot and returns;
//! everything else happens on a thread of its own. The copy goes through the kernel (process_vm_readv(2)), so that a
//! stack that ends early gives a short copy and not a fault. The handler does not allocate, lock or wait.
#![expect(unsafe_code, reason = "signal handlers and their registers are the operating system's interface")]

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use antiphon_core::measure::account::{self, Tag};

use super::modules::Registers;

/// Bytes of a stack that are copied. They hold the innermost frames, which matter most, and nearly always all of them.
pub(super) const STACK: usize = 32 << 10;
/// Samples that may wait. They are collected every 50 ms, in which 16 busy cores produce 80.
const SLOTS: usize = 128;
/// Slots that a handler tries before its sample counts as lost.
const TRIES: usize = 8;

/// State of a slot that may be written.
const FREE: u8 = 0;
/// State of a slot that one handler is writing.
const WRITING: u8 = 1;
/// State of a slot that waits for the collector.
const FULL: u8 = 2;

/// The ring in use. Rings are never freed but used again, because a handler may still be in one when sampling ends.
static RING: AtomicPtr<Ring> = AtomicPtr::new(ptr::null_mut());
/// The ring of the last profile, for the next one.
static IDLE: AtomicPtr<Ring> = AtomicPtr::new(ptr::null_mut());

/// One sample of a running thread.
pub(super) struct Sample {
    pub(super) registers: Registers,
    pub(super) tag: Tag,
    pub(super) thread: u32,
    pub(super) length: usize,
    pub(super) stack: Box<[u8]>,
}

struct Slot {
    state: AtomicU8,
    sample: UnsafeCell<Sample>,
}

/// The buffer that handlers write and the collector reads.
struct Ring {
    slots: Vec<Slot>,
    next: AtomicUsize,
    lost: AtomicU64,
}

// SAFETY: a slot's sample is touched only by the handler that moved its state from FREE to WRITING, and by the only
// collector once the state is FULL.
unsafe impl Sync for Ring {}

/// While this value lives, samples are taken.
pub(super) struct Sampling {
    ring: &'static Ring,
}

impl Sampling {
    /// Starts to take `hertz` samples in a second of CPU time. There must be no other `Sampling`.
    pub(super) fn start(hertz: u32) -> io::Result<Self> {
        let ring = IDLE.swap(ptr::null_mut(), Ordering::AcqRel);
        let ring: &'static Ring = if ring.is_null() {
            Box::leak(Box::new(Ring::new()))
        } else {
            // SAFETY: it came from the `Box::leak` above in an earlier call and is never freed.
            unsafe { &*ring }
        };
        ring.lost.store(0, Ordering::Relaxed);
        RING.store(ptr::from_ref(ring).cast_mut(), Ordering::Release);
        let sampling = Self { ring };
        install()?;
        set_timer(1_000_000 / hertz.max(1))?;
        Ok(sampling)
    }

    /// Passes every waiting sample to `each`.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&Sample)) {
        for slot in &self.ring.slots {
            if slot.state.load(Ordering::Acquire) == FULL {
                // SAFETY: a full slot is written by nobody, and `&mut self` makes this the only reader.
                each(unsafe { &*slot.sample.get() });
                slot.state.store(FREE, Ordering::Release);
            }
        }
    }

    /// Samples that were lost because all slots were in use.
    pub(super) fn lost(&self) -> u64 {
        self.ring.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        // If the timer cannot be stopped, its signals do no harm: without a ring the handler returns at once.
        let _ = set_timer(0);
        RING.store(ptr::null_mut(), Ordering::Release);
        IDLE.store(ptr::from_ref(self.ring).cast_mut(), Ordering::Release);
    }
}

impl Ring {
    fn new() -> Self {
        let slot = || Slot {
            state: AtomicU8::new(FREE),
            sample: UnsafeCell::new(Sample {
                registers: Registers::default(),
                tag: Tag::default(),
                thread: 0,
                length: 0,
                stack: vec![0; STACK].into_boxed_slice(),
            }),
        };
        Self {
            slots: std::iter::repeat_with(slot).take(SLOTS).collect(),
            next: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Claims a free slot among the next few.
    fn take(&self) -> Option<&Slot> {
        for _ in 0..TRIES {
            let slot = &self.slots[self.next.fetch_add(1, Ordering::Relaxed) % SLOTS];
            if slot.state.compare_exchange(FREE, WRITING, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(slot);
            }
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Installs the handler. It is never removed, because a late signal without a handler would end the process.
fn install() -> io::Result<()> {
    let mut action: libc::sigaction = {
        // SAFETY: all zeros are a valid sigaction.
        unsafe { MaybeUninit::zeroed().assume_init() }
    };
    action.sa_sigaction = handle as extern "C" fn(_, _, _) as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `action` is initialised and the old one is not asked for.
    let set = unsafe { libc::sigaction(libc::SIGPROF, &raw const action, ptr::null_mut()) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_timer(micros: u32) -> io::Result<()> {
    let every = libc::timeval { tv_sec: 0, tv_usec: libc::suseconds_t::from(micros) };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: `timer` is initialised and the old one is not asked for.
    let set = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, ptr::null_mut()) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn handle(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: a ring that was stored is never freed.
    let Some(ring) = (unsafe { RING.load(Ordering::Acquire).as_ref() }) else { return };
    let Some(slot) = ring.take() else { return };
    // SAFETY: this handler moved the slot from FREE to WRITING, so no other code touches it.
    let sample = unsafe { &mut *slot.sample.get() };
    // SAFETY: the kernel passes a ucontext to a handler with SA_SIGINFO.
    sample.registers = registers(unsafe { &*context.cast::<libc::ucontext_t>() });
    sample.tag = account::tag();
    let errno = errno();
    // SAFETY: errno belongs to the thread. The calls write only to the slot's own buffer, and the kernel checks the
    // address that it reads from.
    unsafe {
        let before = *errno;
        sample.thread = libc::syscall(libc::SYS_gettid) as u32;
        let to = libc::iovec { iov_base: sample.stack.as_mut_ptr().cast(), iov_len: STACK };
        let from = libc::iovec {
            iov_base: ptr::with_exposed_provenance_mut(sample.registers.sp as usize),
            iov_len: STACK,
        };
        let copied = libc::process_vm_readv(libc::getpid(), &raw const to, 1, &raw const from, 1, 0);
        sample.length = usize::try_from(copied).unwrap_or(0).min(STACK);
        *errno = before;
    }
    slot.state.store(FULL, Ordering::Release);
}

fn errno() -> *mut libc::c_int {
    // SAFETY: the function has no preconditions and returns a pointer to the thread's own errno.
    unsafe { libc::__errno_location() }
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let at = |register: libc::c_int| context.uc_mcontext.gregs[register as usize].cast_unsigned();
    Registers { pc: at(libc::REG_RIP), sp: at(libc::REG_RSP), fp: at(libc::REG_RBP) }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let machine = &context.uc_mcontext;
    Registers { pc: machine.pc, sp: machine.sp, fp: machine.regs[29], lr: machine.regs[30] }
}
