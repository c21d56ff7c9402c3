package resume_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"concert/resume"
)

// open opens a journal until the test ends.
func open(t *testing.T, path string) *resume.Journal {
	t.Helper()
	j, err := resume.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func keyOf(parts ...any) resume.Key { return resume.NewKey([]byte(fmt.Sprint(parts...))) }

// readers returns the data as readers.
func readers(data ...string) (all []io.Reader) {
	for _, d := range data {
		all = append(all, strings.NewReader(d))
	}
	return all
}

// wantEntry checks the record of a key.
func wantEntry(t *testing.T, j *resume.Journal, k resume.Key, ok bool, info string, data ...string) {
	t.Helper()
	e, found := j.Find(k)
	if !found {
		t.Errorf("%s has no record", k)
		return
	}
	if e.OK != ok || string(e.Info) != info || e.Len() != len(data) {
		t.Errorf("%s: %v, %s and %d data; want %v, %s and %d data", k, e.OK, e.Info, e.Len(), ok, info, len(data))
		return
	}
	if err := e.Check(); err != nil {
		t.Errorf("%s: %v", k, err)
	}
	for i, want := range data {
		got, err := io.ReadAll(e.Data(i))
		if err != nil || string(got) != want || e.Size(i) != int64(len(want)) {
			t.Errorf("%s: data %d: %d bytes of %d, equal %v, %v", k, i, len(got), len(want), string(got) == want, err)
		}
	}
}

// TestJournal_Reopened: Find must return records at once, and after the
// journal was opened again.
func TestJournal_Reopened(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	large := strings.Repeat("x\n\x00", 100_000)
	steps := []struct {
		key  string
		ok   bool
		info any
		json string
		data []string
	}{
		{"plain", true, nil, "", nil},
		{"information", true, map[string]string{"a": "<\n>,\"sum\":\""}, `{"a":"\u003c\n\u003e,\"sum\":\""}`, nil},
		{"failed", false, 7, "7", []string{"", "small\n"}},
		{"large", true, "i", `"i"`, []string{large, "", "y", large[1:]}},
		{"replaced", false, nil, "", []string{"a"}},
		{"replaced", true, nil, "", []string{large}},
		{"much information", true, large, "", nil},
	}
	for _, s := range steps {
		if err := j.Append(keyOf(s.key), s.ok, s.info, readers(s.data...)...); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for i, s := range steps {
			if s.key == "replaced" && !s.ok {
				continue
			}
			if s.key == "much information" {
				e, _ := j.Find(keyOf(s.key))
				s.json = string(e.Info)
				if !strings.Contains(s.json, `x\n\u0000x`) || len(s.json) < len(large) {
					t.Errorf("the information has %d bytes", len(s.json))
				}
			}
			wantEntry(t, j, keyOf(s.key), steps[i].ok, s.json, s.data...)
		}
		if _, ok := j.Find(keyOf("other")); ok || j.Len() != 6 || j.Damaged() != 0 {
			t.Errorf("an unknown key: %v, %d keys, %d damaged", ok, j.Len(), j.Damaged())
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = open(t, path)
	}
}

// TestJournal_Closed: after Close, Append must fail and create no file, and
// Close must do nothing.
func TestJournal_Closed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	j.Append(keyOf(1), true, nil)
	for range 2 {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, data := range []string{"", strings.Repeat("x", 10_000)} {
		if err := j.Append(keyOf(2), true, nil, readers(data)...); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Append() = %v", err)
		}
	}
	if _, err := os.Stat(path + ".data"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a data file after Close: %v", err)
	}
	if _, ok := j.Find(keyOf(1)); ok {
		t.Error("a closed journal has records")
	}
}

// TestJournal_ReaderFails: a failed or panicking reader of data must leave no
// record and no bytes, and later records must be intact.
func TestJournal_ReaderFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	failure := errors.New("broken")
	for _, n := range []int{0, 10, 10_000, 128 << 10, 1_000_000} {
		for _, failing := range []io.Reader{&errReader{err: failure}, &errReader{err: io.ErrUnexpectedEOF}, panicReader{}} {
			_, panics := failing.(panicReader)
			r := io.MultiReader(bytes.NewReader(make([]byte, n)), failing)
			func() {
				defer func() { recover() }()
				if err := j.Append(keyOf(n), true, nil, strings.NewReader("a"), r); err == nil || !strings.Contains(err.Error(), "read the data") {
					t.Errorf("%d bytes and %v: Append() = %v", n, failing, err)
				}
			}()
			if _, ok := j.Find(keyOf(n)); ok {
				t.Errorf("%d bytes: there is a record", n)
			}
			if info, err := os.Stat(path + ".data"); err == nil && info.Size() > 200 && !panics {
				t.Errorf("%d bytes: the data file has %d bytes", n, info.Size())
			}
		}
	}
	large := strings.Repeat("z", 500_000)
	if err := j.Append(keyOf("next"), true, nil, readers(large)...); err != nil {
		t.Fatal(err)
	}
	wantEntry(t, j, keyOf("next"), true, "", large)
	if info, err := os.Stat(path + ".data"); err != nil || info.Size() > int64(len(large))+200 {
		t.Errorf("the data file has %d bytes, %v", info.Size(), err)
	}
}

// errReader is a reader that returns an error once.
type errReader struct{ err error }

// Read returns the error, and then io.EOF.
func (r *errReader) Read([]byte) (int, error) {
	err := cmp.Or(r.err, io.EOF)
	r.err = nil
	return 0, err
}

type panicReader struct{}

// Read panics.
func (panicReader) Read([]byte) (int, error) { panic("reader") }

// TestJournal_Information: information that cannot be encoded, or that is too
// large, must be an error, and must leave no record.
func TestJournal_Information(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "j"))
	for want, info := range map[string]any{
		"encode the information": func() {},
		"append it as data":      strings.Repeat("x", 17<<20),
	} {
		if err := j.Append(keyOf(1), true, info); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Append() = %v; want %q", err, want)
		}
	}
	if j.Len() != 0 {
		t.Errorf("%d records", j.Len())
	}
}

// TestOpen_Refused: Open must refuse files that are not journals, say why, and
// leave them unchanged.
func TestOpen_Refused(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a line of another program\n", 10)
	newer := `{"format":"concert journal","version":2,"x":1`
	newer += fmt.Sprintf(`,"sum":"%08x"}`+"\n", crc32.Checksum([]byte(newer), crc32.MakeTable(crc32.Castagnoli)))
	for name, c := range map[string]struct {
		content, data string
		want          string
		is            error
	}{
		"text":             {content: text, want: "it is not a journal", is: resume.ErrNotJournal},
		"one byte":         {content: "x", want: "it is not a journal", is: resume.ErrNotJournal},
		"JSON":             {content: "{}\n", want: "it is not a journal", is: resume.ErrNotJournal},
		"zeros":            {content: strings.Repeat("\x00", 5000), want: "it is not a journal", is: resume.ErrNotJournal},
		"large":            {content: strings.Repeat("x", 3<<20), want: "it is not a journal", is: resume.ErrNotJournal},
		"lines":            {content: strings.Repeat("x\n", 2<<20), want: "it is not a journal", is: resume.ErrNotJournal},
		"newer version":    {content: newer, want: "a newer version", is: resume.ErrNotJournal},
		"data of another":  {data: text, want: "j.data: it is not a journal", is: resume.ErrNotJournal},
		"short other data": {data: "x", want: "j.data: it is not a journal", is: resume.ErrNotJournal},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j")
			os.WriteFile(path, []byte(c.content), 0o666)
			if c.data != "" {
				os.WriteFile(path+".data", []byte(c.data), 0o666)
			}
			_, err := resume.Open(path, nil)
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "resume: open "+path) {
				t.Errorf("Open() = %v", err)
			}
			if got, _ := os.ReadFile(path); c.content != "" && string(got) != c.content {
				t.Errorf("the file has changed: %.80q", got)
			}
			if got, _ := os.ReadFile(path + ".data"); string(got) != c.data {
				t.Errorf("the data file has changed: %.80q", got)
			}
		})
	}
}

// TestOpen_Directory: a directory must be refused.
func TestOpen_Directory(t *testing.T) {
	t.Parallel()
	if _, err := resume.Open(t.TempDir(), nil); !errors.Is(err, resume.ErrNotJournal) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Open() = %v", err)
	}
	path := filepath.Join(t.TempDir(), "none", "j")
	if _, err := resume.Open(path, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open() = %v", err)
	}
}

// TestOpen_ReadOnly: if the process may not write to the file, Open must fail.
func TestOpen_ReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	open(t, path).Close()
	os.Chmod(path, 0o444)
	j, err := resume.Open(path, nil)
	if err == nil && os.Geteuid() == 0 {
		j.Close()
		t.Skip("this user may write to all files")
	}
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("Open() = %v", err)
	}
}

// TestOpen_Empty: an empty file must become a journal.
func TestOpen_Empty(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	os.WriteFile(path, nil, 0o666)
	j := open(t, path)
	if err := j.Append(keyOf(1), true, nil); err != nil || j.Len() != 1 || j.Damaged() != 0 {
		t.Errorf("Append() = %v, %d records, %d damaged", err, j.Len(), j.Damaged())
	}
}

// TestOpen_DataOfAnotherJournal: a new journal must not use the data file of a
// journal that was removed.
func TestOpen_DataOfAnotherJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	j.Append(keyOf(1), true, nil, readers(strings.Repeat("x", 10_000))...)
	j.Close()
	before, _ := os.ReadFile(path + ".data")
	os.Remove(path)
	if _, err := resume.Open(path, nil); !errors.Is(err, resume.ErrNotJournal) || !strings.Contains(err.Error(), "data file of another journal: remove it") {
		t.Errorf("Open() = %v", err)
	}
	if after, _ := os.ReadFile(path + ".data"); !bytes.Equal(before, after) {
		t.Error("the data file has changed")
	}
	os.Remove(path + ".data")
	open(t, path)
}

// TestOpen_DataMissing: if the data file was removed, the records with data in
// it must count as damaged. New records must be intact.
func TestOpen_DataMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	large := strings.Repeat("x", 10_000)
	j.Append(keyOf(1), true, nil, readers(large)...)
	j.Append(keyOf(2), true, nil, readers("small")...)
	j.Close()
	os.Remove(path + ".data")
	j = open(t, path)
	if _, ok := j.Find(keyOf(1)); ok {
		t.Error("a record without its data was found")
	}
	if j.Damaged() != 1 || j.Len() != 1 {
		t.Errorf("%d damaged lines and %d records; want 1 and 1", j.Damaged(), j.Len())
	}
	wantEntry(t, j, keyOf(2), true, "", "small")
	if err := j.Append(keyOf(3), true, nil, readers(large)...); err != nil {
		t.Error(err)
	}
	wantEntry(t, j, keyOf(3), true, "", large)
}

// TestOpen_InUse: a second Open of the same file must fail, also by another
// name, and succeed after Close.
func TestOpen_InUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "j"), filepath.Join(dir, "link")
	j := open(t, path)
	names := []string{path}
	if os.Symlink(path, link) == nil {
		names = append(names, link)
	}
	for _, name := range names {
		if _, err := resume.Open(name, nil); !errors.Is(err, resume.ErrInUse) || !strings.Contains(err.Error(), name) {
			t.Errorf("Open(%s) = %v", name, err)
		}
	}
	j.Close()
	j = open(t, names[len(names)-1])
	if err := j.Append(keyOf(1), true, nil, readers(strings.Repeat("x", 10_000))...); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path + ".data"); err != nil {
		t.Errorf("the data file is not next to the journal: %v", err)
	}
}

// TestOpen_DataFileIsNextToJournal: the data file must be next to the journal,
// even if the journal was created through a symbolic link, or the program has
// changed its working directory.
func TestOpen_DataFileIsNextToJournal(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"j": filepath.Join(dir, "j")}
	if os.Symlink(filepath.Join("sub", "target"), filepath.Join(dir, "link")) == nil {
		names["link"] = filepath.Join(dir, "sub", "target")
	}
	for name, real := range names {
		t.Chdir(dir)
		j := open(t, name)
		t.Chdir("sub")
		large := strings.Repeat("x", 10_000)
		if err := j.Append(keyOf(1), true, nil, readers(large)...); err != nil {
			t.Error(err)
		}
		j.Close()
		if _, err := os.Stat(real + ".data"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Chdir(dir)
		wantEntry(t, open(t, name), keyOf(1), true, "", large)
	}
}

// TestJournal_Random compares a journal with a map, under random operations of
// several goroutines.
func TestJournal_Random(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	type value struct {
		ok   bool
		info string
		data []string
	}
	const workers = 4
	var all [workers]map[int]value // one map of each goroutine
	for w := range all {
		all[w] = map[int]value{}
	}
	for range 6 {
		j := open(t, path)
		var wg sync.WaitGroup
		for w, model := range all {
			wg.Go(func() {
				for range 40 {
					n := rand.IntN(20)
					k := keyOf(w, n)
					want, has := model[n]
					if _, found := j.Find(k); found != has {
						t.Errorf("Find() = %v, want %v", found, has)
					} else if has {
						wantEntry(t, j, k, want.ok, want.info, want.data...)
					}
					v := value{ok: rand.IntN(2) == 0, info: fmt.Sprint(rand.Int32())}
					for range rand.IntN(3) {
						v.data = append(v.data, strings.Repeat(fmt.Sprint(n), []int{0, 1, 1000, 4096, 4097, 200_000}[rand.IntN(6)]))
					}
					if err := j.Append(k, v.ok, jsonNumber(v.info), readers(v.data...)...); err != nil {
						t.Error(err)
					}
					model[n] = v
				}
			})
		}
		wg.Wait()
		j.Close()
	}
	j := open(t, path)
	for w, model := range all {
		for n, v := range model {
			wantEntry(t, j, keyOf(w, n), v.ok, v.info, v.data...)
		}
	}
	if n := len(all[0]) + len(all[1]) + len(all[2]) + len(all[3]); n != j.Len() || j.Damaged() != 0 {
		t.Errorf("%d keys, %d damaged; want %d keys", j.Len(), j.Damaged(), n)
	}
}

type jsonNumber string

// MarshalJSON returns the text of the number.
func (n jsonNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// TestKeys: the key of the n-th equal call depends only on the call and on n.
// Different calls have different keys.
func TestKeys(t *testing.T) {
	t.Parallel()
	a, b := resume.NewKey([]byte("ab"), []byte("c")), resume.NewKey([]byte("a"), []byte("bc"))
	if a == b || resume.NewKey() == resume.NewKey(nil) {
		t.Error("different parts have one key")
	}
	var first, second resume.Keys
	want := []resume.Key{first.Next(a), first.Next(a), first.Next(a), first.Next(b)}
	got := []resume.Key{second.Next(a), {}, {}, second.Next(b)}
	got[1], got[2] = second.Next(a), second.Next(a)
	if !slices.Equal(want, got) || want[0] != a || want[3] != b {
		t.Errorf("%v and %v", want, got)
	}
	slices.SortFunc(want, func(x, y resume.Key) int { return bytes.Compare(x[:], y[:]) })
	if len(slices.Compact(want)) != 4 {
		t.Error("two calls have one key")
	}
}
