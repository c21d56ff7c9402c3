package processes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"concert"
)

var prepared string // set by prepare

// prepare is an initializer. Its argument says whether it succeeds, and how
// it fails.
var prepare = concert.Register("processes_test.prepare", func(ctx context.Context, how string) (struct{}, error) {
	how, arg, _ := strings.Cut(how, " ")
	switch how {
	case "ok":
		prepared = "prepared"
	case "error":
		return struct{}{}, errors.New("the model is missing")
	case "panic":
		panic("the model is broken")
	case "goexit":
		runtime.Goexit()
	case "exit":
		fmt.Fprintln(os.Stderr, "goodbye")
		os.Exit(7)
	case "hang":
		time.Sleep(time.Hour)
	case "once": // succeeds as long as the file does not exist
		if _, err := os.Stat(arg); err == nil {
			return struct{}{}, errors.New("the model was removed")
		}
	}
	return struct{}{}, nil
})

var whatIsPrepared = concert.Register("processes_test.whatIsPrepared", func(context.Context, int) (string, error) { return prepared, nil })
