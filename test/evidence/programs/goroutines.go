// Goroutines that wait for each other in the same place, panics that are recovered from, timers.
package main

import (
	"os"
	"runtime"
	"sync"
	"time"
)

func strikeReturn()
func strikePointer()
func store()
func ends()

func fails(n int) (result int) {
	defer func() {
		if recover() != nil {
			result = n
		}
	}()
	var none []int
	return none[n]
}

func main() {
	runtime.GOMAXPROCS(1)
	numbers := make(chan int)
	results := make(chan int)
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range numbers {
				results <- n * n
			}
		}()
	}
	go func() {
		for i := 0; i < 40; i++ {
			numbers <- i
		}
		close(numbers)
		group.Wait()
		close(results)
	}()
	total := 0
	for n := range results {
		total += n + fails(n)
		runtime.Gosched()
	}
	select {
	case <-time.After(time.Millisecond):
	}
	if len(os.Args) > 1 && os.Args[1] == "return" {
		strikeReturn()
	}
	if len(os.Args) > 1 && os.Args[1] == "pointer" {
		strikePointer()
	}
	println(total)
}
