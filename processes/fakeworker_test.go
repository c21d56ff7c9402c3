package processes_test

import (
	"os"
	"strconv"
	"strings"

	"concert/executor"
	"concert/internal/frame"
)

// fakeEnv is an environment variable. If it is set, this test binary is a fake
// worker (see fake). This worker implements the protocol without a journal, and
// violates the protocol in ways in which the real worker never does.
const fakeEnv = "CONCERT_TEST_FAKE"

// attack sends invalid files for the result of a call. It appends the frame
// of the result to b, and returns b.
var attack func(how, setup string, b []byte, id frame.ID) []byte

// fake is a worker that answers each call with its argument. The suffix of
// the function's name selects another behavior: "fatal" ends the process
// before it begins the call, "twice" begins the call twice and does not
// answer, "unasked" returns the call without a request of the pool, and
// "unlisted" answers with a list although the flag for lists was not in its
// Hello. If the name contains ".attack.", fake calls the function attack.
func fake() {
	setup := os.Getenv("CONCERT_WORKER")
	_, list, _ := strings.Cut(setup, "files=")
	var files []*os.File
	for _, name := range strings.Split(list, ",") {
		fd, err := strconv.Atoi(name)
		if err != nil {
			os.Exit(2)
		}
		files = append(files, os.NewFile(uintptr(fd), name))
	}
	out := files[1]
	out.Write(frame.AppendReady(frame.AppendHello(nil, frame.HelloBody{Version: frame.Version})))
	for in := frame.NewReader(files[0], 1<<30); ; {
		_, body, err := in.Next()
		if err != nil {
			os.Exit(0)
		}
		h, rest, err := frame.ParseCall(body, "")
		if err != nil {
			os.Exit(3)
		}
		if strings.HasSuffix(h.Name, "fatal") {
			os.Stderr.WriteString("no such thing\n")
			os.Exit(9)
		}
		for i := range uint32(h.Count) {
			var arg frame.Payload
			if arg, rest, err = frame.NextArg(rest); err != nil {
				os.Exit(3)
			}
			id := frame.ID{Seq: h.Seq, Index: i}
			b := frame.AppendID(nil, frame.Started, id)
			switch {
			case strings.HasSuffix(h.Name, "twice"):
				out.Write(frame.AppendID(b, frame.Started, id))
				continue
			case strings.HasSuffix(h.Name, "unasked"):
				out.Write(frame.AppendID(nil, frame.GivenBack, id))
				continue
			}
			if strings.HasSuffix(h.Name, "unlisted") {
				r := frame.Results{ID: id, List: executor.List{Kind: arg.Kind, Bytes: arg.Bytes}}
				out.Write(append(frame.ResultListHead(nil, &r), r.Bytes...))
				continue
			}
			if _, how, ok := strings.Cut(h.Name, ".attack."); ok {
				out.Write(attack(how, setup, b, id))
				continue
			}
			out.Write(frame.AppendResult(b, frame.Outcome{ID: id, Value: arg}))
		}
	}
}
