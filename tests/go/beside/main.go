// A program over mapstore and over another library that is written in Rust,
// both linked statically.
package main

// int other_answer(void);
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log"

	"mapstore"
)

func main() {
	store, err := mapstore.Open(context.Background(), "beside")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	written, err := store.Set(context.Background(), "answer", fmt.Append(nil, int(C.other_answer())))
	if err != nil || written.Revision == "" {
		log.Fatal("set: ", written, err)
	}
	if _, err := store.Set(context.Background(), "a/b", nil); !errors.Is(err, mapstore.ErrInvalidArgument) {
		log.Fatal("a key that can't be: ", err)
	}
	answer, err := store.Get(context.Background(), "answer")
	fmt.Printf("beside: %s %v\n", answer, err)
}
