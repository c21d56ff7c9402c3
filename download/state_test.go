package download

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReadState_Lines(t *testing.T) {
	const first = `{"format":"concert part 2","etag":"\"one\"","size":100,"inode":7,"boot":"x","synced":0}` + "\n"
	one := state{Format: stateFormat, ETag: `"one"`, Size: 100, Inode: 7, Boot: "x"}
	synced := one
	synced.Synced = 50
	date := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, text string
		want       state
		ok         bool
	}{
		{"one line", first, one, true},
		{"a further line", first + `{"synced":50}` + "\n", synced, true},
		{"an incomplete line", first + `{"synced":50}` + "\n" + `{"synced":90`, synced, true},
		{"a damaged line", first + "\x00\x00\x00\n" + `{"synced":50}` + "\n", synced, true},
		{"another version", first + `{"synced":50}` + "\n" + `{"format":"concert part 2","modified":"2020-01-02T03:04:05Z","strong":true,"size":9,"synced":0}` + "\n",
			state{Format: stateFormat, Modified: date, Strong: true, Size: 9}, true},
		{"another format later", first + `{"format":"concert part 9"}` + "\n", state{}, false},
		{"another format", strings.Replace(first, "part 2", "part 1", 1), state{}, false},
		{"no format", `{"synced":50}` + "\n" + first, state{}, false},
		{"incomplete", strings.TrimSuffix(first, "\n"), state{}, false},
		{"empty", "", state{}, false},
		{"zeros", strings.Repeat("\x00", 4096), state{}, false},
		{"not an object", "[]\n", state{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ours := readState(strings.NewReader(c.text))
			ok := ours && got.isValid()
			if ok != c.ok || ok && fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("readState() = %+v, %v; want %+v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

// TestReadState_Long: a state file of any length must not use much memory.
func TestReadState_Long(t *testing.T) {
	endless := &zeros{}
	if s, ok := readState(endless); ok || endless.n > 2*maxState {
		t.Errorf("readState() = %+v, %v after %d bytes", s, ok, endless.n)
	}
}

// zeros is a reader without an end.
type zeros struct{ n int }

func (z *zeros) Read(b []byte) (int, error) { clear(b); z.n += len(b); return len(b), nil }

// FuzzState: for a damaged or hostile state file, Get must not continue a part
// of another file, or count bytes that the part does not have.
func FuzzState(f *testing.F) {
	const first = `{"format":"concert part 2","etag":"\"one\"","size":100,"inode":%d,"synced":0}` + "\n"
	for _, s := range []string{
		"", "{", first, first + `{"synced":50}` + "\n", first + `{"synced":-1}` + "\n", first + `{"size":-2}` + "\n", first + first, "\n",
		first + `{"pieces":[[0,10],[50,9223372036854775807]]}` + "\n", first + `{"etag":""}` + "\n", first + `{"size":1e300}` + "\n",
		strings.Repeat("[", 10_000) + "\n", first + "{\"synced\":9223372036854775807}\n", strings.Replace(first, `\"one\"`, `a\r\nRange: x`, 1),
	} {
		f.Add(s)
	}
	dir := f.TempDir()
	j := &job{Request: Request{Name: "file.bin"}, client: defaultClient, dir: dir}
	path := filepath.Join(dir, "file.bin.part")
	f.Fuzz(func(t *testing.T, text string) {
		content := bytes.Repeat([]byte("x"), 64)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		// "%d" stands for the inode number of the part, which the fuzzer cannot
		// guess.
		isThis := strings.Contains(text, "%d")
		text = strings.ReplaceAll(text, "%d", fmt.Sprint(inode(info)))
		if err := os.WriteFile(path+".json", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := j.findPart()
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			return
		}
		defer p.discard()
		s := &p.state
		if inode(info) != 0 && !isThis && !strings.Contains(text, fmt.Sprint(inode(info))) {
			t.Errorf("the state %q made Get continue a part of another file", text)
		}
		size := p.size.Load()
		if size < 0 || size > int64(len(content)) || s.Size >= 0 && size > s.Size || s.validator() == "" || s.Size < -1 || s.Synced < 0 {
			t.Errorf("the state %q makes Get continue %d bytes of %+v", text, size, s)
		}
		if b, err := os.ReadFile(path); err != nil || int64(len(b)) != size || !bytes.HasPrefix(content, b) {
			t.Errorf("the part has %d bytes, want %d: %v", len(b), size, err)
		}
	})
}

// TestPart_StateFields: after each change, the state must describe the version
// of the bytes in the part.
func TestPart_StateFields(t *testing.T) {
	dir := t.TempDir()
	j := &job{Request: Request{Name: "file.bin"}, client: defaultClient, dir: dir}
	for _, first := range []string{`"one"`, ""} {
		p, err := j.newPart(state{ETag: first, Modified: time.Unix(1e9, 0), Strong: first == "", Size: 100})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.write([]byte("bytes")); err != nil {
			t.Fatal(err)
		}
		if kept := p.release(); kept != 5 {
			t.Fatalf("release kept %d bytes", kept)
		}
		p, err = j.findPart()
		if err != nil || p == nil || p.state.Synced != 5 || p.size.Load() != 5 || p.state.ETag != first {
			t.Fatalf("findPart() = %+v, %v", p, err)
		}
		// The state of the second version must not keep fields of the first
		// version.
		if err := p.restart(state{ETag: `"two"`, Size: 50}); err != nil {
			t.Fatal(err)
		}
		if err := p.write([]byte("other")); err != nil {
			t.Fatal(err)
		}
		p.release()
		if p, err = j.findPart(); err != nil || p == nil || p.state.ETag != `"two"` || p.state.Strong || !p.state.Modified.IsZero() || p.state.Size != 50 {
			t.Fatalf("findPart() = %+v, %v", p, err)
		}
		// A version without a validator cannot be continued.
		if err := p.restart(state{Size: 5}); err != nil {
			t.Fatal(err)
		}
		p.file.Close() // as after a kill of the process
		p.endSync()
		p.lock.Close()
		if p, err = j.findPart(); err != nil || p != nil {
			t.Fatalf("findPart() = %+v, %v", p, err)
		}
		if names, err := filepath.Glob(dir + "/*"); err != nil || len(names) != 0 {
			t.Fatalf("in the directory are %q, %v", names, err)
		}
	}
}
