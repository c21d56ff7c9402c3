"""Measures Python's own pools, to compare them with package processes.

python3 pool.py KIND N runs N tasks in a way that KIND names, and prints the nanoseconds per task.
python3 pool.py now METHOD prints a line when a new pool has returned its first result. METHOD is the start method of
multiprocessing, such as fork.
"""
import array
import concurrent.futures
import multiprocessing
import sys
import time


def nop(n):
    return n


def echo(b):
    return b


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
elif __name__ == "__main__":
    print(run(sys.argv[1], int(sys.argv[2])))
