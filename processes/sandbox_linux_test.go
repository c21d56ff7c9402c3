package processes_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"concert"
	"concert/internal/race"
	"concert/processes"
)

// action is an action that a task attempts. The field On is its object, such
// as a path.
type action struct{ What, On string }

// attempt tries to perform an action. It returns "done", "denied", or the
// text of another error.
var attempt = concert.Register("processes_test.attempt", func(ctx context.Context, d action) (string, error) {
	err := d.do()
	switch {
	case err == nil:
		return "done", nil
	case errors.Is(err, os.ErrPermission):
		return "denied", nil
	}
	return err.Error(), nil
})

func (d action) do() error {
	pid, _ := strconv.Atoi(d.On)
	dial := func(network string) error {
		conn, err := net.Dial(network, d.On)
		if err == nil {
			defer conn.Close()
			_, err = conn.Write([]byte("x"))
		}
		return err
	}
	switch d.What {
	case "read":
		_, err := os.ReadFile(d.On)
		return err
	case "list":
		_, err := os.ReadDir(d.On)
		return err
	case "create":
		return os.WriteFile(d.On, []byte("x"), 0o666)
	case "append":
		f, err := os.OpenFile(d.On, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			defer f.Close()
			_, err = f.WriteString("x")
		}
		return err
	case "truncate":
		return os.Truncate(d.On, 0)
	case "remove":
		return os.Remove(d.On)
	case "rename":
		return os.Rename(d.On, d.On+".new")
	case "rename back":
		return os.Rename(d.On+".new", d.On)
	case "make a directory":
		return os.Mkdir(d.On, 0o777)
	case "make a pipe":
		return syscall.Mkfifo(d.On, 0o666)
	case "make a device":
		return syscall.Mknod(d.On, syscall.S_IFCHR|0o666, 1<<8|3)
	case "make a symbolic link":
		return os.Symlink("/etc/passwd", d.On)
	case "link":
		return os.Link(d.On, d.On+".link")
	case "change the mode":
		return os.Chmod(d.On, 0o777)
	case "change the mode of an open file":
		f, err := os.Open(d.On)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Chmod(0o777)
	case "change the owner":
		return os.Chown(d.On, os.Getuid(), os.Getgid())
	case "change the times":
		return os.Chtimes(d.On, time.Now(), time.Now())
	case "set an attribute":
		return unix.Setxattr(d.On, "user.concert", []byte("x"), 0)
	case "listen":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			l.Close()
		}
		return err
	case "tcp", "udp", "unix":
		return dial(d.What)
	case "mptcp":
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 262)
		if err == nil {
			syscall.Close(fd)
		}
		return err
	case "exec":
		return exec.Command(d.On).Run()
	case "exec memory":
		fd, err := unix.MemfdCreate("program", 0)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(d.On)
		if err != nil {
			return err
		}
		if _, err := syscall.Write(fd, b); err != nil {
			return err
		}
		return exec.Command(fmt.Sprint("/proc/self/fd/", fd)).Run()
	case "signal":
		return syscall.Kill(pid, 0)
	case "signal by thread":
		return unix.Tgkill(pid, pid, 0)
	case "trace":
		return syscall.PtraceAttach(pid)
	case "limit":
		return unix.Prlimit(pid, unix.RLIMIT_CPU, nil, &unix.Rlimit{})
	case "mount":
		return unix.Mount("none", d.On, "tmpfs", 0, "")
	case "pair of sockets":
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err == nil {
			unix.Close(fds[0])
			unix.Close(fds[1])
		}
		return err
	case "have a signal sent":
		r, _, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = unix.FcntlInt(r.Fd(), unix.F_SETOWN, pid)
		return err
	case "flags":
		f, err := os.Open(d.On)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)
	case "clone into namespaces":
		child, _, e := syscall.RawSyscall6(syscall.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if e != 0 {
			return e
		}
		if child == 0 {
			syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
		}
		syscall.Wait4(int(child), nil, 0, nil)
		return nil
	case "watch":
		fd, err := unix.InotifyInit1(0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	case "write to what is open":
		for fd := 3; fd < 100; fd++ {
			var stat unix.Stat_t
			if unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG {
				unix.Write(fd, []byte("x"))
			}
		}
		return nil
	case "leave":
		return unix.Unshare(unix.CLONE_NEWUSER)
	case "io_uring":
		if _, _, e := syscall.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0); e != 0 {
			return e
		}
		return nil
	case "fork":
		child, _, e := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if e != 0 {
			return e
		}
		if child == 0 {
			syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
		}
		syscall.Wait4(int(child), nil, 0, nil)
		return nil
	case "share memory":
		return mapping(-1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	case "share and check":
		return mapping(-1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED_VALIDATE|unix.MAP_ANONYMOUS)
	case "map a stack":
		return mapping(-1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_GROWSDOWN)
	case "lend pages to a pipe", "lend a file to a pipe", "send a file to a pipe":
		return lend(d)
	case "make a file in memory":
		fd, err := unix.MemfdCreate("memory", 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	case "share a file", "map a file":
		f, err := os.Open(d.On)
		if err != nil {
			return err
		}
		defer f.Close()
		flags := unix.MAP_SHARED
		if d.What == "map a file" {
			flags = unix.MAP_PRIVATE
		}
		return mapping(int(f.Fd()), unix.PROT_READ, flags)
	case "free shared memory":
		mem := shared("concert-arena")
		return unix.Madvise(mem[:4096], unix.MADV_REMOVE)
	case "raise a limit":
		what, _ := strconv.Atoi(d.On)
		var limit unix.Rlimit
		if err := unix.Getrlimit(what, &limit); err != nil {
			return err
		}
		limit.Max++
		return unix.Setrlimit(what, &limit)
	case "a new call":
		if _, _, e := syscall.Syscall(9999, 0, 0, 0); e != 0 {
			return e
		}
		return nil
	}
	return fmt.Errorf("no action %q", d.What)
}

// mapping maps a page, and unmaps it.
func mapping(fd, prot, flags int) error {
	mem, err := unix.Mmap(fd, 0, 4096, prot, flags)
	if err == nil {
		unix.Munmap(mem)
	}
	return err
}

// sandboxed returns a pool of one confined worker, and a pool of one worker
// without a sandbox.
func sandboxed(t *testing.T, s *processes.Sandbox) (confined, free *processes.Pool) {
	t.Helper()
	confined, err := processes.New(1, &processes.Options{Sandbox: s})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("this system cannot: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { confined.Close() })
	return confined, newPool(t, 1, nil)
}

// TestSandbox_Denies: the sandbox must deny every action that is forbidden
// to a confined worker. A worker without a sandbox must be able to perform
// the actions of the first list.
func TestSandbox_Denies(t *testing.T) {
	leftovers(t)
	dir := t.TempDir()
	confined, free := sandboxed(t, &processes.Sandbox{})
	file := pathIn(dir, "file")
	fresh := func() {
		os.Remove(file + ".new")
		os.Remove(file + ".link")
		if err := os.WriteFile(file, []byte("text"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	local, err := net.Listen("unix", pathIn(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for _, d := range []action{
		{"create", pathIn(dir, "made")},
		{"append", file},
		{"truncate", file},
		{"rename", file},
		{"remove", file},
		{"make a directory", pathIn(dir, "dir")},
		{"make a pipe", pathIn(dir, "pipe")},
		{"make a symbolic link", pathIn(dir, "symlink")},
		{"link", file},
		{"change the mode", file},
		{"change the mode of an open file", file},
		{"change the owner", file},
		{"change the times", file},
		{"listen", ""},
		{"tcp", tcp.Addr().String()},
		{"udp", udp.LocalAddr().String()},
		{"unix", local.Addr().String()},
		{"exec", "/bin/true"},
		{"exec memory", "/bin/true"},
		{"signal", fmt.Sprint(os.Getpid())},
		{"signal by thread", fmt.Sprint(os.Getpid())},
		{"limit", fmt.Sprint(os.Getpid())},
		{"pair of sockets", ""},
		{"have a signal sent", fmt.Sprint(os.Getpid())},
		{"watch", ""},
		{"read", fmt.Sprintf("/proc/%d/environ", os.Getpid())},
		{"read", fmt.Sprintf("/proc/%d/cmdline", os.Getpid())},
		{"read", fmt.Sprintf("/proc/%d/stat", os.Getpid())},
		{"list", "/proc"},
		{"fork", ""},
		{"share memory", ""},
		{"map a stack", ""},
		{"make a file in memory", ""},
		{"lend pages to a pipe", ""},
		{"lend a file to a pipe", "/etc/passwd"},
		{"send a file to a pipe", "/etc/passwd"},
		{"free shared memory", ""},
	} {
		t.Run(d.What, func(t *testing.T) {
			fresh()
			if got, err := submit(t, confined, attempt, d).Result(t.Context()); got != "denied" || err != nil {
				t.Errorf("a confined worker: %s %s: %s, %v; want denied", d.What, d.On, got, err)
			}
			if d.What != "read" && d.What != "list" {
				fresh()
			}
			if got, err := submit(t, free, attempt, d).Result(t.Context()); got != "done" || err != nil {
				t.Errorf("a free worker: %s %s: %s, %v; want done, or the test shows nothing", d.What, d.On, got, err)
			}
		})
	}
	// These actions need rights that not every user has. So the test does not
	// attempt them without a sandbox.
	for _, d := range []action{
		{"make a device", pathIn(dir, "device")},
		{"set an attribute", file},
		{"mptcp", ""},
		{"trace", fmt.Sprint(os.Getpid())},
		{"mount", dir},
		{"leave", ""},
		{"flags", file},
		{"clone into namespaces", ""},
		{"io_uring", ""},
		{"a new call", ""},
		{"share and check", ""},
	} {
		t.Run(d.What, func(t *testing.T) {
			fresh()
			if got, err := submit(t, confined, attempt, d).Result(t.Context()); got != "denied" || err != nil {
				t.Errorf("a confined worker: %s %s: %s, %v; want denied", d.What, d.On, got, err)
			}
		})
	}
	// A confined worker must be able to perform these actions.
	fresh()
	for _, d := range []action{
		{"read", file}, {"list", dir}, {"create", os.DevNull}, {"signal", "self"}, {"share a file", file}, {"map a file", file},
		{"read", "/proc/self/status"}, {"list", "/proc/self/task"}, {"read", "/proc/cpuinfo"}, {"read", "/etc/passwd"}, {"list", "/usr"},
	} {
		t.Run(d.What+" "+filepath.Base(d.On), func(t *testing.T) {
			if d.On == "self" {
				pid, err := submit(t, confined, pidOf, 0).Result(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				d.On = fmt.Sprint(pid)
			}
			if got, err := submit(t, confined, attempt, d).Result(t.Context()); got != "done" || err != nil {
				t.Errorf("a confined worker: %s %s: %s, %v; want done", d.What, d.On, got, err)
			}
		})
	}
	works(t, confined)
}

// lend tries to put pages of memory, or of a file, into a pipe without a
// copy.
func lend(d action) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	if d.What == "lend pages to a pipe" {
		b := make([]byte, os.Getpagesize())
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(len(b))
		_, err := unix.Vmsplice(pipe[1], []unix.Iovec{v}, 0)
		return err
	}
	f, err := os.Open(d.On)
	if err != nil {
		return err
	}
	defer f.Close()
	if d.What == "send a file to a pipe" {
		_, err = unix.Sendfile(pipe[1], int(f.Fd()), nil, 1)
	} else {
		_, err = unix.Splice(int(f.Fd()), nil, pipe[1], nil, 1, 0)
	}
	return err
}

// TestSandbox_Memory: a confined worker must not be able to allocate memory
// that Options.Memory does not include.
func TestSandbox_Memory(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector needs more memory than the limit; the test runs without it")
	}
	leftovers(t)
	file := pathIn(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	sandboxed(t, &processes.Sandbox{}) // skips the test if this system cannot confine workers
	p := newPool(t, 1, &processes.Options{Memory: 256 << 20, Sandbox: &processes.Sandbox{}})
	for _, try := range []struct {
		action
		want string
	}{
		{action{"share memory", ""}, "denied"},
		{action{"share and check", ""}, "denied"},
		{action{"map a stack", ""}, "denied"},
		{action{"make a file in memory", ""}, "denied"},
		{action{"lend pages to a pipe", ""}, "denied"},
		{action{"lend a file to a pipe", file}, "denied"},
		{action{"send a file to a pipe", file}, "denied"},
		{action{"share a file", "/dev/zero"}, "denied"}, // shared memory without a file
		{action{"share a file", file}, "denied"},
		{action{"map a file", file}, "done"},
		{action{"fork", ""}, "denied"},
		{action{"raise a limit", strconv.Itoa(unix.RLIMIT_DATA)}, "denied"},
		{action{"raise a limit", strconv.Itoa(unix.RLIMIT_STACK)}, "denied"},
		{action{"raise a limit", strconv.Itoa(unix.RLIMIT_NOFILE)}, "denied"},
		{action{"raise a limit", strconv.Itoa(unix.RLIMIT_CORE)}, "denied"},
		{action{"create", "/dev/shm/concert-test"}, "denied"},
	} {
		t.Run(strings.TrimSpace(try.What+" "+filepath.Base(try.On)), func(t *testing.T) {
			if got, err := submit(t, p, attempt, try.action).Result(t.Context()); got != try.want || err != nil {
				t.Errorf("%s %s: %s, %v; want %s", try.What, try.On, got, err, try.want)
			}
		})
	}
	_, err := submit(t, p, misbehave, "memory 1000").Result(t.Context())
	if e := died(t, err); !errors.Is(e, processes.ErrMemory) {
		t.Errorf("1000 MiB of 256: %v", e)
	}
	works(t, p)
}

// TestSandbox_Dirs: a confined worker must be able to access the directories
// and files of its Sandbox, and no others.
func TestSandbox_Dirs(t *testing.T) {
	leftovers(t)
	read, write, other := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{read, write, other} {
		if err := os.WriteFile(pathIn(dir, "file"), []byte("text"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	one := pathIn(other, "one")
	if err := os.WriteFile(one, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	confined, _ := sandboxed(t, &processes.Sandbox{Read: []string{read}, Write: []string{write, one}})
	for _, try := range []struct {
		action
		want string
	}{
		{action{"read", pathIn(read, "file")}, "done"},
		{action{"list", read}, "done"},
		{action{"append", pathIn(read, "file")}, "denied"},
		{action{"create", pathIn(read, "made")}, "denied"},
		{action{"read", pathIn(write, "file")}, "done"},
		{action{"append", pathIn(write, "file")}, "done"},
		{action{"truncate", pathIn(write, "file")}, "done"},
		{action{"create", pathIn(write, "made")}, "done"},
		{action{"rename", pathIn(write, "made")}, "done"},
		{action{"rename back", pathIn(write, "made")}, "done"},
		{action{"link", pathIn(write, "made")}, "done"},
		{action{"remove", pathIn(write, "made")}, "done"},
		{action{"make a directory", pathIn(write, "dir")}, "done"},
		{action{"make a device", pathIn(write, "device")}, "denied"},
		{action{"make a symbolic link", pathIn(write, "symlink")}, "done"},
		{action{"read", pathIn(write, "symlink")}, "denied"}, // a link to /etc/passwd
		{action{"change the mode", pathIn(write, "file")}, "denied"},
		{action{"read", pathIn(other, "file")}, "denied"},
		{action{"list", other}, "denied"},
		{action{"list", "/"}, "denied"},
		{action{"read", "/etc/passwd"}, "denied"},
		{action{"append", one}, "done"},
		{action{"remove", one}, "denied"},
		{action{"exec", "/bin/true"}, "denied"},
	} {
		t.Run(try.What+" "+filepath.Base(try.On), func(t *testing.T) {
			if got, err := submit(t, confined, attempt, try.action).Result(t.Context()); got != try.want || err != nil {
				t.Errorf("%s %s: %s, %v; want %s", try.What, try.On, got, err, try.want)
			}
		})
	}
}

// opened holds a file that the initializer opens for tasks.
var opened *os.File

var openFile = concert.Register("processes_test.openFile", func(_ context.Context, path string) (int, error) {
	var err error
	opened, err = os.OpenFile(path, os.O_RDWR, 0)
	return 0, err
})

var readOpened = concert.Register("processes_test.readOpened", func(context.Context, int) (string, error) {
	b := make([]byte, 4)
	_, err := opened.ReadAt(b, 0)
	return string(b), err
})

// TestSandbox_Initializer: the initializer must run before the worker is
// confined, so that tasks can use a file that it opens.
func TestSandbox_Initializer(t *testing.T) {
	leftovers(t)
	path := pathIn(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	p, err := processes.New(1, &processes.Options{Sandbox: &processes.Sandbox{Read: []string{}}, Init: processes.Initialize(openFile, path)})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("this system cannot: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got, err := submit(t, p, readOpened, 0).Result(t.Context()); got != "text" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := submit(t, p, attempt, action{"read", path}).Result(t.Context()); got != "denied" || err != nil {
		t.Errorf("%s, %v; want denied", got, err)
	}
}

// TestSandbox_Refused: if a directory of the Sandbox does not exist, New must
// fail with an error that names the directory.
func TestSandbox_Refused(t *testing.T) {
	leftovers(t)
	_, err := processes.New(1, &processes.Options{Sandbox: &processes.Sandbox{Write: []string{"/no/such/directory"}}})
	if err == nil || !strings.Contains(err.Error(), "/no/such/directory") {
		t.Errorf("New() = %v, want an error that names the directory", err)
	}
}

// swap replaces the directory at one path by a symbolic link to another
// path.
var swap = concert.Register("processes_test.swap", func(_ context.Context, paths [2]string) (int, error) {
	if err := os.Rename(paths[0], paths[0]+".old"); err != nil {
		return 0, err
	}
	return 0, os.Symlink(paths[1], paths[0])
})

// TestSandbox_DirReplaced: the path of a directory of the Sandbox later
// leads to another directory. Workers must not be able to access that other
// directory, even if they start after the change.
func TestSandbox_DirReplaced(t *testing.T) {
	leftovers(t)
	secret, job := t.TempDir(), t.TempDir()
	if err := os.WriteFile(pathIn(secret, "file"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := pathIn(job, "in")
	if err := os.Mkdir(in, 0o755); err != nil {
		t.Fatal(err)
	}
	confined, _ := sandboxed(t, &processes.Sandbox{Read: []string{in}, Write: []string{job, in}})
	if _, err := submit(t, confined, swap, [2]string{in, secret}).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the first two workers were confined before the directory was replaced
		for _, d := range []action{{"read", pathIn(secret, "file")}, {"append", pathIn(secret, "file")}, {"create", pathIn(secret, "made")}} {
			if got, err := submit(t, confined, attempt, d).Result(t.Context()); got != "denied" || err != nil {
				t.Errorf("%s %s: %s, %v; want denied", d.What, d.On, got, err)
			}
		}
		submit(t, confined, misbehave, "exit 5").Result(t.Context())
	}
}

// TestSandbox_InheritedFile: if the program has inherited a file from its
// parent, a confined worker must not be able to write to it.
func TestSandbox_InheritedFile(t *testing.T) {
	path := pathIn(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := program(t, "inherited")
	for range 20 { // some of the pool's own files have these numbers
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if text, err := os.ReadFile(path); len(text) > 0 || err != nil {
		t.Errorf("a confined worker wrote to the inherited file: %q, %v", text, err)
	}
}

// programInherits lets a confined worker try to write to each regular file
// that it has open.
func programInherits([]string) error {
	p, err := processes.New(1, &processes.Options{Sandbox: &processes.Sandbox{}})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	} else if err != nil {
		return err
	}
	defer p.Close()
	_, err = concert.Submit(context.Background(), p, attempt, action{"write to what is open", ""}).Result(context.Background())
	return err
}

// TestSandbox_RunsTasks: a confined worker must run tasks like any other
// worker.
func TestSandbox_RunsTasks(t *testing.T) {
	leftovers(t)
	confined, _ := sandboxed(t, &processes.Sandbox{Read: []string{}})
	for i, err := range concert.MapUnordered(t.Context(), confined, nop, numbers(10_000)) {
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	big := make([]byte, 1<<20)
	if got, err := submit(t, confined, echo, big).Result(t.Context()); len(got) != len(big) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_, err := submit(t, confined, misbehave, "exit 5").Result(t.Context())
	died(t, err)
	_, err = submit(t, confined, misbehave, "panic").Result(t.Context())
	if err == nil {
		t.Error("a panic is no error")
	}
	works(t, confined)
}
