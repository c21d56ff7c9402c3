package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

// jsonLine returns the line of JSON of a job.
func jsonLine(t testing.TB, r *Record, o *Output) string {
	t.Helper()
	var b bytes.Buffer
	p := &Printer{opts: Options{JSON: true}, streams: newStreams(&b, io.Discard)}
	p.streams.copy = make([]byte, 5) // a small buffer, so that characters are divided between two writes
	it := p.newItem(r, o)
	if _, err := p.print(it); err != nil {
		t.Fatal(err)
	}
	p.flushStreams()
	return b.String()
}

// FuzzJSON compares the JSON of an output with the JSON of package
// encoding/json.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		"", "plain\n", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "<&>", "äöü 漢字 🙂", "\u0085\u009b\u00a0\u2028\u2029\ufffd",
		"\xff", "half \xe2\x82", "\xf0\x9f", "\xed\xa0\x80", "x\xc0\x80", "1234\xf0\x9f\x99\x82", strings.Repeat("é", 300), strings.Repeat("\u2028", 10), strings.Repeat("\u0085", 10),
	} {
		f.Add([]byte(s), []byte("stderr"))
		f.Add([]byte{}, []byte(s))
	}
	f.Fuzz(func(t *testing.T, stdout, stderr []byte) {
		line := jsonLine(t, &Record{Number: 1, Status: OK}, Bytes(stdout, stderr))
		inParts := Recorded(&Record{Stdout: int64(len(stdout)), Stderr: int64(len(stderr))}, func(i int) io.Reader {
			return bytes.NewReader([][]byte{stdout, stderr}[i])
		})
		if parts := jsonLine(t, &Record{Number: 1, Status: OK}, inParts); parts != line {
			t.Errorf("read in parts, the line is %q, and else %q", parts, line)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
			t.Errorf("%q is not one line", line)
		}
		for name, want := range map[string][]byte{"stdout": stdout, "stderr": stderr} {
			if !utf8.Valid(want) {
				var data []byte
				if err := json.Unmarshal(fields[name+"_base64"], &data); err != nil || !bytes.Equal(data, want) || fields[name] != nil {
					t.Errorf("%s of %q is %q, %v, in %s", name, want, data, err, line)
				}
				continue
			}
			var text string
			if err := json.Unmarshal(fields[name], &text); err != nil || text != string(want) || fields[name+"_base64"] != nil {
				t.Errorf("%s of %q is %q, %v, in %s", name, want, text, err, line)
			}
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			e.Encode(string(want))
			if std := string(escapeControls(bytes.TrimSpace(b.Bytes()))); string(fields[name]) != std {
				t.Errorf("%s of %q is %s, and %s in encoding/json", name, want, fields[name], std)
			}
		}
		for _, c := range line[:len(line)-1] {
			if c < ' ' || c >= 0x7f && c < 0xa0 {
				t.Errorf("%q has a control character", line)
			}
		}
	})
}

// TestJSON_OutputCannotBeRead: if the output cannot be read, the line must be
// complete nevertheless.
func TestJSON_OutputCannotBeRead(t *testing.T) {
	o := Recorded(&Record{Stdout: 10}, func(int) io.Reader { return iotest.ErrReader(errors.New("the \"journal\"\x9b is damaged")) })
	var fields map[string]any
	line := jsonLine(t, &Record{Number: 1, Status: OK}, o)
	if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["output_error"] != "the \"journal\"\ufffd is damaged" || fields["status"] != "ok" {
		t.Errorf("the line is %s, %v", line, err)
	}
}

// TestRecord_JSON: decoding must return the record that was encoded, also if
// its texts are not UTF-8.
func TestRecord_JSON(t *testing.T) {
	for _, row := range []struct {
		record Record
		want   string
	}{
		{Record{Number: 3, ID: "0f", Inputs: []string{"a b", "<&>\u009b"}, Command: []string{"gzip", "a b"}, Status: OK, Attempts: 1,
			Start: time.Date(2026, 11, 30, 9, 0, 0, 5e6, time.UTC), Seconds: 1.2345678, CPU: 0.5, Memory: 4096, Stdout: 3, Stderr: 4},
			`{"number":3,"id":"0f","inputs":["a b","<&>\u009b"],"command":["gzip","a b"],"status":"ok","exit_code":0,"attempts":1,"start_time":"2026-11-30T09:00:00.005Z",` +
				`"seconds":1.234568,"cpu_seconds":0.5,"peak_memory_bytes":4096,"stdout_bytes":3,"stderr_bytes":4,"resumed":false`},
		{Record{Number: 4, Inputs: []string{"ok", "\xff"}, Command: []string{"\xfe"}, Status: Killed, Signal: "SIGKILL", Error: "out of memory", Attempts: 2, Resumed: true},
			`{"number":4,"inputs_base64":["b2s=","/w=="],"command_base64":["/g=="],"status":"killed","signal":"SIGKILL","error":"out of memory","attempts":2,` +
				`"seconds":0,"cpu_seconds":0,"stdout_bytes":0,"stderr_bytes":0,"resumed":true`},
		{Record{Number: 5, Inputs: []string{""}, Status: NotStarted, Error: "xyz: not found"},
			`{"number":5,"inputs":[""],"status":"not started","error":"xyz: not found","attempts":0,"seconds":0,"cpu_seconds":0,"stdout_bytes":0,"stderr_bytes":0,"resumed":false`},
	} {
		if got := string(row.record.line()); got != row.want {
			t.Errorf("line:\n%s\nwant\n%s", got, row.want)
		}
		data, err := json.Marshal(&row.record)
		if err != nil {
			t.Fatal(err)
		}
		var back Record
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		row.record.Seconds = microseconds(row.record.Seconds)
		if !reflect.DeepEqual(back, row.record) {
			t.Errorf("%+v became %+v", row.record, back)
		}
	}
}

// TestRecord_Documented: docs/map-output.md must have all fields of JSON, and
// no other fields.
func TestRecord_Documented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "..", "docs", "map-output.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| field | content |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]bool{}
	for row := range strings.Lines(table) {
		names := strings.Split(strings.Split(row, "|")[1], ",")
		for _, name := range names {
			documented[strings.Trim(name, " `")] = true
		}
	}
	var names []string
	for f := range reflect.TypeFor[recordJSON]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	for _, name := range append(names, "stdout", "stderr", "stdout_base64", "stderr_base64", "output_error") {
		if !documented[name] {
			t.Errorf("the page does not have the field %s", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("there is no field %q", name)
	}
}
