package python

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// interpreter returns the path of the interpreter, given
// Options.Interpreter. The path is absolute, because the working directory
// of workers may be different.
func interpreter(name string) (string, error) {
	name = cmp.Or(name, os.Getenv("VIRTUAL_ENV"))
	if name == "" {
		return lookPath("python3")
	}
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return lookPath(name)
	}
	for _, program := range []string{filepath.Join("bin", "python3"), filepath.Join("bin", "python"), filepath.Join("Scripts", "python.exe")} {
		program = filepath.Join(name, program)
		if info, err := os.Stat(program); err == nil && !info.IsDir() {
			return absolute(program)
		}
	}
	if program, err := lookPath(name); err == nil {
		return program, nil // the directory has the same name as a program in PATH
	}
	return "", fmt.Errorf("python: %s is a directory without an interpreter, so it is not a virtual environment", name)
}

// lookPath finds a program as a shell does.
func lookPath(name string) (string, error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("python: cannot find the interpreter: %w", err)
	}
	return absolute(program)
}

// absolute returns the absolute path of a program. It does not follow links,
// because the interpreter of a virtual environment is a link to another
// interpreter. It uses the path of the link to find the environment.
func absolute(program string) (string, error) {
	path, err := filepath.Abs(program)
	if err != nil {
		return "", fmt.Errorf("python: interpreter %s: %w", program, err)
	}
	return path, nil
}

// threadCaps returns an environment with additional variables. They limit
// the threads of numerical libraries: together, n tasks have one thread for
// each processor.
func threadCaps(env []string, n int) []string {
	each := max(1, runtime.GOMAXPROCS(0)/n)
	env = append([]string(nil), env...)
	for _, name := range []string{
		"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
		"NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS",
	} {
		if !has(env, name) {
			env = append(env, fmt.Sprintf("%s=%d", name, each))
		}
	}
	return env
}

// has reports whether an environment has a variable.
func has(env []string, name string) bool {
	return slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
}

// tunables makes the C library of the workers use large pages. Workers
// remove the variable from their environment, so programs that a task starts
// do not inherit it.
const tunables = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"
