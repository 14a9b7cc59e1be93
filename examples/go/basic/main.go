// The basics: a value, a counter that every replica increments, all of it at once.
package main

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"time"

	"mapstore"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	store, err := mapstore.Open(ctx, "my-settings")
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := store.Set(ctx, "colour", []byte("blue")); err != nil {
		return err
	}
	if _, err := store.Update(ctx, "visits", increment); err != nil {
		return err
	}
	all, err := store.Snapshot(ctx)
	if err != nil {
		return err
	}
	for key, value := range all.All() {
		fmt.Printf("%s = %s\n", key, value)
	}
	_, err = store.Apply(ctx, mapstore.NewBatch().IfPresent("colour").Delete("colour").Set("previous", []byte("blue")))
	return err
}

func increment(old []byte, present bool) ([]byte, error) {
	if !present {
		return []byte("1"), nil
	}
	visits, err := strconv.Atoi(string(old))
	return []byte(strconv.Itoa(visits + 1)), err
}
