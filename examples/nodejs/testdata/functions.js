// The functions of main_test.go.
"use strict";

for (const type of ["<nil>", "int", "uint64", "float64", "bool", "string", "[]uint8", "[]float64", "[]int64", "[]int32", "main.price"]) {
  exports["echo " + type] = (v) => v;
}

exports.half = (numbers) => numbers.map((n) => n / 2);

exports.describe = (s) =>
  [s.Values.length, s.Values[99], s.Counts.length, s.Counts[19], s.At.toISOString(), s.Unit].join(" ");

exports.fail = (how) => {
  switch (how) {
    case "throw":
      throw new RangeError("too far");
    case "long":
      throw new Error("long ".repeat(2_000_000));
    case "text":
      throw "only text";
    case "exit":
      process.exit(3); // ends the thread
      break;
    case "later":
      setImmediate(() => {
        throw new Error("when nobody asks");
      });
      return new Promise(() => {});
    case "abort":
      process.kill(process.pid, "SIGABRT");
      break;
    case "function":
      return () => 1;
    case "half a character":
      return "\ud83d";
    case "half a character within":
      return { a: ["x\udc00"] };
    case "half a key":
      return { "\ud83d": 1 };
    case "not a number":
      return { price: NaN };
    case "a map":
      return [new Map([[1, 2]])];
    case "circle": {
      const v = {};
      v.v = v;
      return v;
    }
    case "spin":
      for (;;);
  }
  return how;
};
