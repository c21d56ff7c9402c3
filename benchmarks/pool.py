"""Measures Python's own pools, to compare them with package processes.

python3 pool.py KIND N runs N tasks in a way that KIND names, and prints the nanoseconds per task.
python3 pool.py values POOL SHAPE CHUNK N maps N values, and prints the nanoseconds per value, and the nanoseconds of processor
time of all processes. POOL is Pool or ProcessPoolExecutor, and SHAPE is a key of SHAPES.
python3 pool.py now METHOD prints a line when a new pool has returned its first result. METHOD is the start method of
multiprocessing, such as fork.
"""
import array
import collections
import concurrent.futures
import glob
import multiprocessing
import os
import sys
import time


def nop(n):
    return n


def echo(b):
    return b


def text(n):
    return "value %06d" % n  # for integers


# The values of a map, and the function that it calls.
SHAPES = {
    "int": (int, nop),
    "text": (lambda i: "a text of 30 characters %06d" % (i % 1000000), nop),
    "bytes": (lambda i: b"bytes %094d" % (i % 1000000), nop),
    "record": (lambda i: {"A": i, "B": 2 * i, "S": "text%06d" % (i % 1000000)}, nop),
    "int to text": (int, text),
}


def processor_time(children):
    """Returns the nanoseconds that this process and other processes have used the processors."""
    total = 0
    for pid in [os.getpid()] + [c.pid for c in children]:
        for name in glob.glob("/proc/%d/task/*/schedstat" % pid):
            with open(name) as f:
                total += int(f.read().split()[0])
    return total


def values(pool, shape, chunk, n):
    value, f = SHAPES[shape]
    if pool == "Pool":
        with multiprocessing.Pool(2) as p:
            return measured(lambda n: p.map(f, map(value, range(n)), chunksize=chunk), n)
    with concurrent.futures.ProcessPoolExecutor(2) as p:
        return measured(lambda n: collections.deque(p.map(f, map(value, range(n)), chunksize=chunk), 0), n)


def measured(run, n):
    run(100)
    children = multiprocessing.active_children()
    used, begin = processor_time(children), time.perf_counter_ns()
    run(n)
    took = time.perf_counter_ns() - begin
    return took / n, (processor_time(children) - used) / n


def run(kind, n):
    if kind == "first":
        begin = time.perf_counter_ns()
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            pool.submit(nop, 1).result()
            return time.perf_counter_ns() - begin
    if kind.startswith("Pool.map"):
        with multiprocessing.Pool(2) as pool:
            pool.map(nop, range(100))
            begin = time.perf_counter_ns()
            pool.map(nop, range(n), chunksize=int(kind.split()[1]))
            return (time.perf_counter_ns() - begin) / n
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for _ in pool.map(nop, range(100)):
            pass
        begin = time.perf_counter_ns()
        if kind == "round":
            for i in range(n):
                pool.submit(nop, i).result()
        elif kind.startswith("flight"):
            flying = set()
            for i in range(n):
                if len(flying) == int(kind.split()[1]):
                    _, flying = concurrent.futures.wait(flying, return_when=concurrent.futures.FIRST_COMPLETED)
                flying.add(pool.submit(nop, i))
            concurrent.futures.wait(flying)
        elif kind == "outstanding":
            for f in [pool.submit(nop, i) for i in range(n)]:
                f.result()
        elif kind.startswith("map"):
            for _ in pool.map(nop, range(n), chunksize=int(kind.split()[1])):
                pass
        elif kind == "large" or kind == "floats":
            b = bytes(64 << 20)
            if kind == "floats":
                b = array.array("d", b)
            begin = time.perf_counter_ns()
            for _ in range(n):
                pool.submit(echo, b).result()
        return (time.perf_counter_ns() - begin) / n


def now(method):
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        print(pool.submit(nop, 1).result(), flush=True)


if __name__ == "__main__" and sys.argv[1] == "now":
    now(sys.argv[2])
elif __name__ == "__main__" and sys.argv[1] == "values":
    print(*values(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
elif __name__ == "__main__":
    print(run(sys.argv[1], int(sys.argv[2])))
