import resource
import time

from concert.functions import Functions

functions = Functions()


def clocks():
    return time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()


def delay():
    with open("/proc/thread-self/schedstat") as f:
        return int(f.read().split()[1])


def moved():
    with open("/proc/thread-self/io") as f:
        lines = dict(line.split(": ") for line in f)
    return int(lines["rchar"]), int(lines["wchar"])


def memory(name):
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    raise LookupError("/proc/self/status has no " + name)


def restart_peak():
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    return memory("VmRSS")


def measured(job):
    """Calls a function with an argument, and says what that used."""
    call = functions.find("python:%s:%s" % (job["how"], job["where"]))
    missing = {}

    def attempt(what, f, *args):
        try:
            return f(*args)
        except (OSError, LookupError, ValueError, AttributeError) as e:
            missing[what] = str(e)
            return None

    resident = attempt("peak memory", restart_peak)
    delayed = attempt("run-queue delay", delay)
    before = attempt("bytes read and written", moved)
    bytes_before = attempt("bytes read and written", moved)
    switches = attempt("context switches", lambda: resource.getrusage(resource.RUSAGE_THREAD))
    wall, thread, process = clocks()
    call(job["arg"])
    wall_after, thread_after, process_after = clocks()
    used = {"wall": wall_after - wall, "cpu": thread_after - thread, "missing": missing, "threads": False}
    if process_after - process > used["cpu"] * 1.1 + 100_000:  # it has threads of its own
        used["cpu"], used["threads"] = process_after - process, True
    after = attempt("context switches", lambda: resource.getrusage(resource.RUSAGE_THREAD))
    if switches and after:
        used["switches"], used["forced"] = after.ru_nvcsw - switches.ru_nvcsw, after.ru_nivcsw - switches.ru_nivcsw
    bytes_after = attempt("bytes read and written", moved)
    if before and bytes_before and bytes_after:  # reading this counts as well: it is what lies between the first two
        used["read"] = bytes_after[0] - 2 * bytes_before[0] + before[0]
        used["written"] = bytes_after[1] - 2 * bytes_before[1] + before[1]
    delayed_after = attempt("run-queue delay", delay)
    if delayed is not None and delayed_after is not None:
        used["delay"] = delayed_after - delayed
    if resident is not None:
        peak = attempt("peak memory", memory, "VmHWM")
        used["memory"] = max(0, (peak or resident) - resident)
    return used
