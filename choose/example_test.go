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
