package output

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"concert/internal/filelock"
)

// resultOf returns the record of a job with these inputs.
func resultOf(inputs ...string) *Record {
	sum := sha256.Sum256([]byte(strings.Join(inputs, "\x00")))
	return &Record{Number: 1, ID: hex.EncodeToString(sum[:16]), Inputs: inputs, Status: OK, Attempts: 1}
}

func openResults(t testing.TB, dir string) *Results {
	t.Helper()
	r, err := OpenResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// files returns the contents of all files in a directory, by their paths. It
// leaves out the files of the draft.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && info.IsDir() && strings.HasPrefix(info.Name(), draftPrefix) {
			return filepath.SkipDir
		}
		if err != nil || info.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		short, _ := filepath.Rel(dir, name)
		all[filepath.ToSlash(short)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestResults_Files(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "results")
	r := openResults(t, dir)
	rec := resultOf("data/a b.csv")
	for _, stdout := range []string{"a longer text\n", "out\n"} { // the second run replaces the first one
		if err := r.Write(rec, text(stdout, "err\n")); err != nil {
			t.Fatal(err)
		}
	}
	name := "data_a_b.csv-" + rec.ID[:16]
	got := files(t, dir)
	var back Record
	if err := json.Unmarshal([]byte(got[name+"/job.json"]), &back); err != nil || back.Inputs[0] != "data/a b.csv" || back.ID != rec.ID {
		t.Errorf("job.json is %q: %v", got[name+"/job.json"], err)
	}
	if len(got) != 3 || got[name+"/stdout"] != "out\n" || got[name+"/stderr"] != "err\n" {
		t.Errorf("the files are %q", got)
	}
	if err := r.Write(resultOf("empty"), nil); err != nil {
		t.Error(err)
	}
}

// TestResults_HostileInputs: the names for hostile inputs must not lead out of
// the directory. They must differ even on a file system that ignores case.
func TestResults_HostileInputs(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "results")
	r := openResults(t, dir)
	long := strings.Repeat("long", 100)
	hostile := []string{
		"", ".", "..", "../..", "../../x", "/", "/etc/passwd", "a/../../b", `..\..\x`, "C:\\x", "a\x00b", "a\nb", "a\tb", "\x1b[2J", "-rf", "--", ".hidden", "~", "$HOME", "`id`", "a;b|c&d",
		"A", "a", "É", "é", "e\u0301", "\u0301", "CON", "con", "nul.txt", "x.", "x ", "x", " x", "x_", "x__", "a,b", "a;b", "a:b", long, long + "1", long + "2", strings.Repeat("漢", 60), strings.Repeat("漢", 61),
		"\xff", "\xfe", "\u202e", "\u200b", "job", "stdout", "job.json", "*", "?", strings.Repeat("../", 50), strings.Repeat("\U0001F642", 70),
	}
	for _, in := range hostile {
		if err := r.Write(resultOf(in), text(in, "")); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	names, err := os.ReadDir(parent)
	if err != nil || len(names) != 1 {
		t.Errorf("files outside of the directory: %v, %v", names, err)
	}
	names, err = os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	lower := map[string]bool{}
	for _, e := range names {
		name := e.Name()
		if name == r.draft.name {
			continue
		}
		lower[strings.ToLower(name)] = true
		if !e.IsDir() || len(name) > maxReadable+1+digestChars || !utf8.ValidString(name) || strings.ContainsAny(name, "/\\:*?\"<>| \t\n\x00\x1b$`;&~'") || name[0] == '.' || name[0] == '-' {
			t.Errorf("the name %q", name)
		}
	}
	if len(lower) != len(hostile) {
		t.Errorf("%d inputs have %d names", len(hostile), len(lower))
	}
	for _, in := range hostile {
		if got, err := os.ReadFile(filepath.Join(dir, resultName(resultOf(in)), "stdout")); err != nil || string(got) != in {
			t.Errorf("the file of %q has %q, %v", in, got, err)
		}
	}
}

func TestResults_ReadableNames(t *testing.T) {
	for in, want := range map[string]string{
		"photo.jpg": "photo.jpg", "dir/Größe 1.txt": "dir_Größe_1.txt", "..": "job", "../x": "x", "-rf": "rf", "": "job", "///": "job", "a=1,b=@2": "a=1,b=@2", "漢字": "漢字", "x_": "x",
		strings.Repeat("é", 51): strings.Repeat("é", 50),
	} {
		if got := readable([]string{in}); got != want {
			t.Errorf("the name of %q begins with %q, want %q", in, got, want)
		}
	}
	if got := readable([]string{"a", "b/c"}); got != "a,b_c" {
		t.Errorf("two inputs: %q", got)
	}
}

// TestResults_EarlierRun: links and files of an earlier run, or of an
// attacker, must not make a run write outside of the directory.
func TestResults_EarlierRun(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	target := filepath.Join(outside, "file")
	if err := os.WriteFile(target, []byte("precious"), 0o666); err != nil {
		t.Fatal(err)
	}
	r := openResults(t, dir)
	link := func(from, to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Skip("no symbolic links: ", err)
		}
	}
	linked, inside, file := resultOf("linked"), resultOf("inside"), resultOf("file")
	link(resultName(linked), outside)
	os.Mkdir(filepath.Join(dir, resultName(inside)), 0o777)
	for _, name := range []string{"stdout", "stderr", "job.json"} {
		link(filepath.Join(resultName(inside), name), target)
	}
	os.WriteFile(filepath.Join(dir, resultName(file)), nil, 0o666)
	for _, rec := range []*Record{linked, file} {
		if err := r.Write(rec, text("x", "")); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, resultName(rec))+": it exists, and is not a directory") {
			t.Errorf("%s: %v", rec.Inputs, err)
		}
	}
	if err := r.Write(inside, text("x", "")); err != nil {
		t.Error(err)
	}
	if got := files(t, outside); len(got) != 1 || got["file"] != "precious" {
		t.Errorf("the directory outside has %q", got)
	}
	if got, err := os.ReadFile(filepath.Join(dir, resultName(inside), "stdout")); err != nil || string(got) != "x" {
		t.Errorf("stdout is %q, %v", got, err)
	}
}

// TestResults_Has: Has must report false if files are missing or incomplete,
// so that a resumed run writes them.
func TestResults_Has(t *testing.T) {
	dir := t.TempDir()
	r := openResults(t, dir)
	rec := resultOf("x")
	rec.Stdout = 3
	if r.Has(rec) {
		t.Error("there are no files yet")
	}
	write := func() {
		t.Helper()
		if err := r.Write(rec, text("out", "")); err != nil {
			t.Fatal(err)
		}
	}
	if write(); !r.Has(rec) {
		t.Error("the files are complete")
	}
	for _, name := range []string{"stdout", "stderr", "job.json"} {
		file := filepath.Join(dir, resultName(rec), name)
		if os.Remove(file); r.Has(rec) {
			t.Errorf("without %s, the files are complete", name)
		}
		write()
		if name == "stderr" {
			continue
		}
		if os.Truncate(file, 0); r.Has(rec) {
			t.Errorf("with an empty %s, the files are complete", name)
		}
		write()
	}
}

// TestResults_Failure: if Write fails, the error must have the directory of
// the job. The job.json of an earlier run must be removed, because it does not
// describe the new files.
func TestResults_Failure(t *testing.T) {
	dir := t.TempDir()
	r := openResults(t, dir)
	rec := resultOf("x")
	job := filepath.Join(dir, resultName(rec))
	if err := r.Write(rec, text("first", "")); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(job, "stderr"))
	os.MkdirAll(filepath.Join(job, "stderr", "full"), 0o777)
	if err := r.Write(rec, text("second", "")); err == nil || !strings.Contains(err.Error(), job) || strings.Contains(err.Error(), draftPrefix) {
		t.Errorf("Write: %v", err)
	}
	got := files(t, job)
	if _, ok := got["job.json"]; ok || got["stdout"] != "second" || len(got) != 1 {
		t.Errorf("the files are %q", got)
	}
	if _, err := OpenResults(filepath.Join(job, "stdout")); err == nil || !strings.Contains(err.Error(), job) {
		t.Errorf("OpenResults of a file: %v", err)
	}
}

// TestResults_KilledRun: a run must remove the incomplete files of killed
// runs, but not the files of runs that live.
func TestResults_KilledRun(t *testing.T) {
	dir := t.TempDir()
	killed, lives := openResults(t, dir), openResults(t, dir)
	for _, r := range []*Results{killed, lives} {
		if err := r.root.WriteFile(r.draft.name+"/7", []byte("incomplete"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	empty := draftPrefix + "empty" // the directory of a run that was killed at its start
	if err := os.Mkdir(filepath.Join(dir, empty), 0o777); err != nil {
		t.Fatal(err)
	}
	filelock.Unlock(killed.draft.lock) // as the kernel does when the process dies
	next := openResults(t, dir)
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range names {
		got = append(got, e.Name())
	}
	want := []string{lives.draft.name, next.draft.name}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the directory has %q, want %q", got, want)
	}
	if err := lives.Write(resultOf("x"), text("out", "")); err != nil {
		t.Error(err)
	}
	lives.Close()
	next.Close()
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("at the end, the directory has %v, %v", names, err)
	}
}
