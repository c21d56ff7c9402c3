package choose_test

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"concert"
	"concert/choose"
	"concert/goroutines"
)

func ExampleRun() {
	// Something that waits, and of which no more than six get on at a time.
	server := make(chan struct{}, 6)
	fetch := func(_ context.Context, page string) (int, error) {
		server <- struct{}{}
		defer func() { <-server }()
		time.Sleep(30 * time.Millisecond)
		return len(page), nil
	}

	report, err := choose.Run(context.Background(), fetch, []string{"a", "b"}, []choose.Model{
		choose.OneAfterAnother(),
		{
			Name: "goroutines",
			Open: func(n int, o concert.Observer) (concert.Executor, error) {
				return goroutines.New(n, &goroutines.Options{Observer: o}), nil
			},
			Code: func(n int) string { return fmt.Sprintf("ex := goroutines.New(%d, nil)", n) },
		},
	}, &choose.Options{Budget: 5 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	a := report.Answer
	fmt.Println("take", a.Model) // how many, and what that gains, depends on the machine's mood
	// Output: take goroutines
}

func ExampleAlone() {
	nap := func(_ context.Context, d time.Duration) (string, error) {
		time.Sleep(d)
		return "rested", nil
	}
	out, used, err := choose.Alone(context.Background(), nap, 20*time.Millisecond)
	fmt.Println(out, err)
	fmt.Println(used.Wall >= 20*time.Millisecond, used.CPU < used.Wall/2)
	// Output:
	// rested <nil>
	// true true
}

func ExampleCommand() {
	used, err := choose.Command(exec.Command("sleep", "0.05"))
	fmt.Println(used.Wall >= 50*time.Millisecond, used.CPU < 25*time.Millisecond, err)
	// Output: true true <nil>
}
