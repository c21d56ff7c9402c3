package download_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"concert/download"
)

// TestGet_ForeignPart: Get must never write to, or remove, a part of another
// program. It uses the second name instead.
func TestGet_ForeignPart(t *testing.T) {
	foreign := []byte("bytes of another program")
	for _, c := range []struct{ name, part, state string }{
		{"part alone", "file.bin.part", ""},
		{"both", "file.bin.part", "file.bin.part.json"},
		{"state alone", "", "file.bin.part.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(3_000_000)
			s.cut = 2_000_000
			dir, url := t.TempDir(), s.open(t)
			var others []string
			for _, name := range []string{c.part, c.state} {
				if name != "" {
					others = append(others, name)
					write(t, filepath.Join(dir, name), foreign)
				}
			}
			_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if e := wantError(t, err, true, "receive"); e.Kept != 2_000_000 {
				t.Errorf("%d bytes kept", e.Kept)
			}
			names := append([]string{"file.bin.concert.part", "file.bin.concert.part.json"}, others...)
			slices.Sort(names)
			wantFiles(t, dir, names...)
			s.cut = 0
			if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 2_000_000 {
				t.Errorf("Get() = %+v, %v; want it resumed", got, err)
			}
			wantFiles(t, dir, append([]string{"file.bin"}, others...)...)
			wantContent(t, filepath.Join(dir, "file.bin"), s.body)
			for _, name := range others {
				wantContent(t, filepath.Join(dir, name), foreign)
			}
		})
	}
}

// TestGet_ForeignPartOverwrite: Overwrite must not touch the part of another
// program. This includes a small file, whose part has a name only for a
// moment.
func TestGet_ForeignPartOverwrite(t *testing.T) {
	s := newSite(1000)
	dir, url := t.TempDir(), s.open(t)
	others := []string{"file.bin.part", "file.bin.part.json"}
	for _, name := range append(others, "file.bin") {
		write(t, filepath.Join(dir, name), []byte("foreign"))
	}
	if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Overwrite: true}); err != nil {
		t.Error(err)
	}
	wantContent(t, filepath.Join(dir, "file.bin"), s.body)
	wantFiles(t, dir, "file.bin", "file.bin.part", "file.bin.part.json")
	for _, name := range others {
		wantContent(t, filepath.Join(dir, name), []byte("foreign"))
	}
}

// TestGet_ForeignPartsWithBothNames: other programs have files with both names
// of the part. Get must complete the file, and can keep no part after an
// error.
func TestGet_ForeignPartsWithBothNames(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs unnamed files")
	}
	s := newSite(3_000_000)
	s.cut = 2_000_000
	dir, url := t.TempDir(), s.open(t)
	others := []string{"file.bin.concert.part", "file.bin.part"}
	for _, name := range others {
		write(t, filepath.Join(dir, name), []byte("foreign"))
	}
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	if e := wantError(t, err, true, "receive"); e.Kept != 0 {
		t.Errorf("%d bytes kept", e.Kept)
	}
	wantFiles(t, dir, others...)
	s.cut = 0
	if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil {
		t.Error(err)
	}
	wantContent(t, filepath.Join(dir, "file.bin"), s.body)
	for _, name := range others {
		wantContent(t, filepath.Join(dir, name), []byte("foreign"))
	}
}

// TestGet_NoRegularPart: Get must not follow a link, open a directory or block
// at a FIFO that has the name of the part or of its state.
func TestGet_NoRegularPart(t *testing.T) {
	for _, name := range []string{"file.bin.part", "file.bin.part.json"} {
		for kind, create := range irregular {
			t.Run(name+" "+kind, func(t *testing.T) {
				s := newSite(3_000_000)
				s.cut = 2_000_000
				dir, url := t.TempDir(), s.open(t)
				victim := filepath.Join(t.TempDir(), "victim")
				write(t, victim, []byte("precious"))
				path := filepath.Join(dir, name)
				if err := create(path, victim); err != nil {
					t.Skip(err)
				}
				before, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				_, err = once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
				if e := wantError(t, err, true, "receive"); e.Kept != 2_000_000 {
					t.Errorf("%d bytes kept", e.Kept)
				}
				s.cut = 0
				got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
				if err != nil || got.Resumed != 2_000_000 {
					t.Errorf("Get() = %+v, %v; want it resumed", got, err)
				}
				wantContent(t, filepath.Join(dir, "file.bin"), s.body)
				wantContent(t, victim, []byte("precious"))
				wantFiles(t, dir, "file.bin", name)
				if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
					t.Errorf("%s was replaced: %v", name, err)
				}
			})
		}
	}
}

// irregular has functions. Each creates another kind of irregular file at a
// path.
var irregular = map[string]func(path, victim string) error{
	"link":          func(path, victim string) error { return os.Symlink(victim, path) },
	"dangling link": func(path, victim string) error { return os.Symlink(victim+"-missing", path) },
	"directory":     func(path, _ string) error { return os.Mkdir(path, 0o777) },
	"FIFO":          func(path, _ string) error { return mkfifo(path) },
}

// TestGet_StateOfAnotherPart: if the state does not describe the part, Get must
// not continue the part.
func TestGet_StateOfAnotherPart(t *testing.T) {
	for name, state := range map[string]string{
		"empty":             "",
		"truncated":         `{"format":"concert part 2","etag":"\"on`,
		"another inode":     `{"format":"concert part 2","etag":"\"one\"","size":200000,"inode":1,"synced":100000}` + "\n",
		"older format":      `{"URL":"http://elsewhere/file.bin","Validator":"\"one\"","Size":200000}`,
		"negative size":     `{"format":"concert part 2","etag":"\"one\"","size":-7,"synced":100000}` + "\n",
		"negative synced":   `{"format":"concert part 2","etag":"\"one\"","size":200000,"synced":-1}` + "\n",
		"newer format":      `{"format":"concert part 9","etag":"\"one\"","size":200000,"synced":100000}` + "\n",
		"number as the tag": `{"format":"concert part 2","etag":1,"size":200000,"synced":100000}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(200_000)
			dir, url := interrupted(t, s)
			part := filepath.Join(dir, "file.bin.part")
			foreign := content(7, 100_000)
			write(t, part, foreign)
			write(t, part+".json", []byte(state))
			got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if err != nil || got.Resumed != 0 || s.last().Header.Get("Range") != "" {
				t.Errorf("Get() = %+v, %v; want it started again", got, err)
			}
			wantContent(t, filepath.Join(dir, "file.bin"), s.body)
			wantContent(t, part, foreign)
		})
	}
}

// TestGet_PartIsReplaced: if another program replaces the part during the
// download, Get must not give the final name to the file of the other program.
func TestGet_PartIsReplaced(t *testing.T) {
	s := newSite(3_000_000)
	dir, url := t.TempDir(), s.open(t)
	part := filepath.Join(dir, "file.bin.part")
	replaced := false
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, OnEvent: func(e download.Event) {
		if e.Done > 2_000_000 && !replaced {
			replaced = true
			if err := os.Remove(part); err != nil {
				t.Error(err)
			}
			write(t, part, []byte("foreign"))
		}
	}})
	wantError(t, err, false, "file.bin")
	wantContent(t, part, []byte("foreign"))
	if _, err := os.Stat(filepath.Join(dir, "file.bin")); err == nil {
		t.Error("the foreign file has the final name")
	}
}

// TestGet_ForeignPartLongestName: if CheckName permits a name, the second name
// of the part and of its state must not be too long either.
func TestGet_ForeignPartLongestName(t *testing.T) {
	name := ""
	for download.CheckName(name+"n") == nil {
		name += "n"
	}
	s := newSite(3_000_000)
	dir := t.TempDir()
	write(t, filepath.Join(dir, name+".part"), []byte("foreign"))
	if _, err := once(t).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Name: name}); err != nil {
		t.Errorf("a name of %d bytes: %v", len(name), err)
	}
	wantFiles(t, dir, name, name+".part")
}

// TestGet_PartIsFinalFile: if Get was killed while it renamed the part by a
// hard link, the part and the complete file are the same file. A later Get
// must not write to it.
func TestGet_PartIsFinalFile(t *testing.T) {
	s := newSite(3_000_000)
	s.cut = 2_000_000
	dir, url := t.TempDir(), s.open(t)
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	wantError(t, err, true, "receive")
	part, final := filepath.Join(dir, "file.bin.part"), filepath.Join(dir, "file.bin")
	f, err := os.OpenFile(part, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(s.body, 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(part, final); err != nil {
		t.Skip(err)
	}
	whole := s.body
	s.body, s.tag, s.cut = content(2, 3_000_000), `"two"`, 1_500_000
	for _, r := range []download.Request{{Update: true}, {Overwrite: true}} {
		r.URL, r.Dir = url, dir
		_, err := once(t).Get(t.Context(), r)
		wantError(t, err, true, "receive")
		wantContent(t, final, whole)
	}
	s.cut = 0
	if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Update: true}); err != nil {
		t.Error(err)
	}
	wantWhole(t, dir, s.body)
}
