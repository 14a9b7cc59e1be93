// A part of `make demo`: reads what the others wrote, and adds a key of its own.
//
//	demo KUBECONFIG NAMESPACE NAME       NAMESPACE "" is the kubeconfig's
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"unicode/utf8"

	"mapstore"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: demo KUBECONFIG NAMESPACE NAME")
	}
	options := []mapstore.Option{mapstore.WithKubeconfig(os.Args[1]), mapstore.WithTextValues(true)}
	if os.Args[2] != "" {
		options = append(options, mapstore.WithNamespace(os.Args[2]))
	}
	if err := demo(context.Background(), os.Args[3], options); err != nil {
		log.Fatal("[go] ", err)
	}
}

func demo(ctx context.Context, name string, options []mapstore.Option) error {
	store, err := mapstore.Open(ctx, name, options...)
	if err != nil {
		return err
	}
	defer store.Close()
	snapshot, err := store.Snapshot(ctx)
	if err != nil {
		return err
	}
	for key, value := range snapshot.All() {
		fmt.Printf("[go]   %s = %s\n", key, shown(value))
	}
	batch := mapstore.NewBatch().IfRevision(snapshot.Revision()).Set("seen-by", []byte("go")).Set("colour", []byte("red"))
	written, err := store.Apply(ctx, batch)
	if err != nil {
		return err
	}
	fmt.Printf("[go] set seen-by and colour together (revision %s)\n", written.Revision)
	_, err = store.Apply(ctx, batch)
	if !errors.Is(err, mapstore.ErrConflict) {
		return fmt.Errorf("the same once more should be refused: %w", err)
	}
	fmt.Printf("[go] refused: %v\n", err)
	return nil
}

func shown(value []byte) string {
	if utf8.Valid(value) {
		return string(value)
	}
	return fmt.Sprintf("%d bytes that are no text", len(value))
}
