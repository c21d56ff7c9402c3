"""Measures how Python's pools give one large array to many calls, to compare them with concert.Share.

python3 shared.py KIND MIB N sums N parts of an array of MIB MiB in four processes, in a way that KIND names, and prints
the nanoseconds per call. The time includes the time to share the array.
"""
import concurrent.futures
import multiprocessing
import multiprocessing.shared_memory
import sys
import tempfile
import time

import numpy

WORKERS = 4
attached = {}


def nop(_):
    time.sleep(0.05)  # so that each worker runs some of the calls


def sum_part(a, i, n):
    return float(a[len(a) * i // n : len(a) * (i + 1) // n].sum())


def sum_shared(name, size, i, n):
    if name not in attached:
        attached[name] = multiprocessing.shared_memory.SharedMemory(name)
    return sum_part(numpy.ndarray((size,), dtype=numpy.float64, buffer=attached[name].buf), i, n)


def run(kind, a, n):
    """Returns the nanoseconds of all calls, and their results."""
    if kind == "joblib":
        import joblib

        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, joblib.Parallel(WORKERS, temp_folder=folder, batch_size=1) as parallel:
            parallel(joblib.delayed(nop)(i) for i in range(8 * WORKERS))
            begin = time.perf_counter_ns()
            sums = parallel(joblib.delayed(sum_part)(a, i, n) for i in range(n))
            return time.perf_counter_ns() - begin, sums
    with concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("forkserver")) as pool:
        list(pool.map(nop, range(8 * WORKERS)))
        begin = time.perf_counter_ns()
        if kind == "copies":
            futures = [pool.submit(sum_part, a, i, n) for i in range(n)]
            sums = [f.result() for f in futures]
            return time.perf_counter_ns() - begin, sums
        memory = multiprocessing.shared_memory.SharedMemory(create=True, size=a.nbytes)
        numpy.ndarray(a.shape, dtype=a.dtype, buffer=memory.buf)[:] = a
        futures = [pool.submit(sum_shared, memory.name, len(a), i, n) for i in range(n)]
        sums = [f.result() for f in futures]
        took = time.perf_counter_ns() - begin
        memory.close()
        memory.unlink()
        return took, sums


def main(kind, mib, n):
    a = numpy.ones(int(mib) << 17)
    took, sums = run(kind, a, int(n))
    assert sum(sums) == len(a)
    print(took / int(n))


if __name__ == "__main__":
    main(*sys.argv[1:])
