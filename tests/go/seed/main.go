// A program for github.com/unrolled/mapstore, all of its interface. It knows
// nothing of this project: the replace line of its go.mod alone makes it run
// on mapstore.
package main

import (
	"errors"
	"fmt"
	"log"
	"sort"

	"github.com/unrolled/mapstore"
)

var _ mapstore.Interface = (*mapstore.Manager)(nil)

func main() {
	if err := mapstore.VerifyConnection("seed-probe"); err != nil {
		log.Fatal(err)
	}
	for _, cached := range []bool{false, true} {
		if err := run(cached); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("seed program: ok")
}

func run(cached bool) error {
	manager, err := mapstore.New("seed", cached)
	if err != nil {
		return err
	}
	var store mapstore.AdvancedInterface = manager
	err = errors.Join(store.Truncate(), store.Set("b", []byte("2")), store.Set("a", []byte{0, 255}),
		store.ForceSet("a", []byte{0, 255}), store.Set("gone", nil), store.Delete("gone"))
	if err != nil {
		return err
	}
	keys, err := store.Keys()
	sort.Strings(keys)
	if err != nil || fmt.Sprint(keys) != "[a b]" {
		return fmt.Errorf("keys: %v %v", keys, err)
	}
	value, err := store.Get("a")
	if err != nil || string(value) != "\x00\xff" {
		return fmt.Errorf("get: %q %v", value, err)
	}
	if _, err := store.Get("gone"); !errors.Is(err, mapstore.ErrKeyNotFound) {
		return fmt.Errorf("a missing key: %v", err)
	}
	raw, err := store.Raw()
	if err != nil || len(raw) != 2 || string(raw["b"]) != "2" {
		return fmt.Errorf("raw: %v %v", raw, err)
	}
	return nil
}
