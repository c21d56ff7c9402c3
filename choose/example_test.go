package choose_test

import (
	"context"
	"fmt"
	"time"

	"concert"
	"concert/choose"
	"concert/goroutines"
)

func ExampleRun() {
	// A server that handles at most six requests concurrently.
	server := make(chan struct{}, 6)
	fetch := func(_ context.Context, page string) (int, error) {
		server <- struct{}{}
		defer func() { <-server }()
		time.Sleep(30 * time.Millisecond)
		return len(page), nil
	}

	report, err := choose.Run(context.Background(), fetch, []string{"a", "b"}, []choose.Model{
		choose.Sequential(),
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
	fmt.Println("use", report.Verdict.Model) // the concurrency and the gain depend on the machine
	// Output: use goroutines
}
