package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Results is a directory with the output of each job:
//
//	DIR/NAME/stdout    the output
//	DIR/NAME/stderr
//	DIR/NAME/job.json  the record; this file is written last
//
// NAME begins with the inputs of the job, in which other characters than
// letters, digits and a few signs are replaced, and ends with digits of the
// job's digest. So NAME does not depend on other jobs, and is the same in each
// run. Two jobs never have the same NAME, even on a file system that ignores
// case. A job replaces its files of an earlier run. A directory with a file
// job.json is complete.
//
// A file is written in a directory of the run, and renamed when it is complete.
// So a killed run leaves incomplete files only there, and the next run finds
// them without a look into each directory. See draft.
type Results struct {
	dir   string
	root  *os.Root
	draft *draft
}

// OpenResults opens the directory of results, and creates it if necessary.
func OpenResults(dir string) (*Results, error) {
	err := os.MkdirAll(dir, 0o777)
	if err == nil {
		var root *os.Root
		if root, err = os.OpenRoot(dir); err == nil {
			var d *draft
			if d, err = newDraft(root); err == nil {
				return &Results{dir: dir, root: root, draft: d}, nil
			}
			root.Close()
		}
	}
	return nil, fmt.Errorf("cannot use %s as the directory of results: %w", dir, withoutPath(err))
}

// Close closes the directory.
func (r *Results) Close() error {
	r.draft.close()
	return r.root.Close()
}

// Write writes the files of a job. The caller must call it before it records
// the job as successful: if Write fails, the job has failed.
func (r *Results) Write(rec *Record, o *Output) error {
	name := resultName(rec)
	err := r.writeAll(name, rec, o)
	if err != nil {
		return fmt.Errorf("cannot write the results of job %d in %s: %w", rec.Number, r.dir+string(os.PathSeparator)+name, withoutPath(err))
	}
	return nil
}

// Has reports whether the files of a job of an earlier run are complete. After
// a loss of power, files can be empty although their job is recorded.
func (r *Results) Has(rec *Record) bool {
	name := resultName(rec)
	for file, size := range map[string]int64{"stdout": rec.Stdout, "stderr": rec.Stderr, "job.json": -1} {
		info, err := r.root.Lstat(name + "/" + file)
		if err != nil || !info.Mode().IsRegular() || info.Size() != size && (size >= 0 || info.Size() == 0) {
			return false
		}
	}
	return true
}

// withoutPath returns the reason of an error, without a temporary name.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

func (r *Results) writeAll(name string, rec *Record, o *Output) error {
	if err := r.makeDir(name); err != nil {
		return err
	}
	// From here on, the job.json of an earlier run would not describe the
	// files.
	if err := r.root.Remove(name + "/job.json"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if o == nil {
		o = &Output{}
	}
	if err := r.draft.write(name+"/stdout", o.Stdout()); err != nil {
		return err
	}
	if err := r.draft.write(name+"/stderr", o.Stderr()); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, append(rec.line(), '}'), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	return r.draft.write(name+"/job.json", &b)
}

// makeDir creates the directory of a job if necessary. It returns an error if
// the path is a symbolic link.
func (r *Results) makeDir(name string) error {
	if err := r.root.Mkdir(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := r.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it exists, and is not a directory; remove it")
	}
	return nil
}

const (
	maxReadable = 100 // the maximum number of bytes in the readable part of a name
	digestChars = 16  // the number of digits of the digest; if there were 8, two of a million jobs could have the same name
)

// resultName returns the name of a job's directory.
func resultName(r *Record) string {
	id := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'f' {
			return c
		}
		return -1
	}, r.ID)
	return readable(r.Inputs) + "-" + id[:min(len(id), digestChars)]
}

// readable returns the inputs as the beginning of a file name. Characters that
// a file system or a shell could interpret become "_". It does not begin with a
// dot or a hyphen.
func readable(inputs []string) string {
	var b strings.Builder
	last := rune(0)
	for _, c := range strings.Join(inputs, ",") {
		if !isReadable(c) || last == 0 && unicode.IsMark(c) {
			c = '_'
		}
		if b.Len()+utf8.RuneLen(c) > maxReadable {
			break
		}
		if c != '_' || last != '_' {
			b.WriteRune(c)
		}
		last = c
	}
	name := strings.TrimLeft(strings.TrimRight(b.String(), "_"), "_.-")
	if name == "" {
		return "job"
	}
	return name
}

func isReadable(c rune) bool {
	if c < utf8.RuneSelf {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("._-+=@,", c)
	}
	return c != utf8.RuneError && (unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c))
}
