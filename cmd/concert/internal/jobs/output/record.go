package output

import (
	"bytes"
	"encoding/json"
	"math"
	"time"
	"unicode/utf8"
)

// Status says how a job ended.
type Status string

// The states of a job that has ended.
const (
	OK         Status = "ok"          // exit code 0, or a function that returned
	Failed     Status = "failed"      // another exit code, or a function that raised
	Timeout    Status = "timeout"     // killed after its time limit
	Killed     Status = "killed"      // killed by a signal or another limit
	NotStarted Status = "not started" // the command could not be started, or the run ended before the start
	Canceled   Status = "canceled"    // killed because the run ended
)

// Record has the information about a job that has ended. Its JSON encoding is
// the line of --json (with the output), the file job.json of --results, and
// what the journal records.
//
// In JSON, inputs and command are lists of strings. If one of the strings is
// not UTF-8, the field inputs_base64 or command_base64 has the list in base64
// instead. Fields that do not apply are missing. If the job exited, the field
// exit_code exists. If a signal killed the job, the field signal exists.
type Record struct {
	Number   int      // number of the input, from 1
	ID       string   // hex digits of the job's digest, the same in all runs
	Inputs   []string // one value for each source
	Command  []string // the argument vector, or the name of the function
	Status   Status
	ExitCode int    // valid if the job was started and Signal is ""
	Signal   string // such as "SIGKILL"
	Error    string // the reason why the job did not start or was killed, or the error of the function
	Attempts int    // 1 without a retry, 0 if the job was not started
	Start    time.Time
	Seconds  float64 // the duration of the last attempt
	CPU      float64 // seconds of processor time, user and system
	Memory   int64   // peak memory in bytes, 0 if it is not known
	Stdout   int64   // bytes of the standard output
	Stderr   int64
	Resumed  bool // whether an earlier run has recorded the job
}

// recordJSON has the names of the fields in JSON.
type recordJSON struct {
	Number        int       `json:"number"`
	ID            string    `json:"id,omitempty"`
	Inputs        []string  `json:"inputs,omitempty"`
	InputsBase64  [][]byte  `json:"inputs_base64,omitempty"`
	Command       []string  `json:"command,omitempty"`
	CommandBase64 [][]byte  `json:"command_base64,omitempty"`
	Status        Status    `json:"status"`
	ExitCode      *int      `json:"exit_code,omitempty"`
	Signal        string    `json:"signal,omitempty"`
	Error         string    `json:"error,omitempty"`
	Attempts      int       `json:"attempts"`
	Start         time.Time `json:"start_time,omitzero"`
	Seconds       float64   `json:"seconds"`
	CPU           float64   `json:"cpu_seconds"`
	Memory        int64     `json:"peak_memory_bytes,omitempty"`
	Stdout        int64     `json:"stdout_bytes"`
	Stderr        int64     `json:"stderr_bytes"`
	Resumed       bool      `json:"resumed"`
}

// MarshalJSON encodes the record.
func (r *Record) MarshalJSON() ([]byte, error) { return json.Marshal(r.fields()) }

// line returns the record as one line of JSON, without its end.
func (r *Record) line() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r.fields()); err != nil {
		panic("output: " + err.Error())
	}
	return escapeControls(bytes.TrimSuffix(b.Bytes(), []byte("}\n")))
}

// fields returns the fields of the record in JSON.
func (r *Record) fields() *recordJSON {
	j := &recordJSON{
		Number: r.Number, ID: r.ID, Status: r.Status, Signal: r.Signal, Error: r.Error, Attempts: r.Attempts, Start: r.Start,
		Seconds: microseconds(r.Seconds), CPU: microseconds(r.CPU), Memory: r.Memory, Stdout: r.Stdout, Stderr: r.Stderr, Resumed: r.Resumed,
	}
	if r.Signal == "" && r.Attempts > 0 && r.Status != NotStarted {
		j.ExitCode = &r.ExitCode
	}
	j.Inputs, j.InputsBase64 = encodeWords(r.Inputs)
	j.Command, j.CommandBase64 = encodeWords(r.Command)
	return j
}

// UnmarshalJSON decodes what MarshalJSON has encoded.
func (r *Record) UnmarshalJSON(data []byte) error {
	var j recordJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*r = Record{
		Number: j.Number, ID: j.ID, Status: j.Status, Signal: j.Signal, Error: j.Error, Attempts: j.Attempts, Start: j.Start,
		Seconds: j.Seconds, CPU: j.CPU, Memory: j.Memory, Stdout: j.Stdout, Stderr: j.Stderr, Resumed: j.Resumed,
		Inputs: decodeWords(j.Inputs, j.InputsBase64), Command: decodeWords(j.Command, j.CommandBase64),
	}
	if j.ExitCode != nil {
		r.ExitCode = *j.ExitCode
	}
	return nil
}

// encodeWords returns the words as text, or as bytes if one is not UTF-8.
func encodeWords(words []string) (text []string, bytes [][]byte) {
	for _, w := range words {
		if !utf8.ValidString(w) {
			for _, w := range words {
				bytes = append(bytes, []byte(w))
			}
			return nil, bytes
		}
	}
	return words, nil
}

func decodeWords(text []string, bytes [][]byte) []string {
	for _, b := range bytes {
		text = append(text, string(b))
	}
	return text
}

// microseconds rounds a number of seconds.
func microseconds(s float64) float64 {
	if s = math.Round(s*1e6) / 1e6; math.IsNaN(s) || math.IsInf(s, 0) {
		return 0 // JSON has no infinite numbers and no NaN
	}
	return s
}
