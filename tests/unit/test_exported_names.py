"""What a file of JavaScript, TypeScript or Go exports, with signatures."""

import pytest

from prunejuice.code.exported_names import exported_names


@pytest.mark.parametrize(
    ("language", "source", "names"),
    [
        ("typescript", "export const t = (a: number[]): number => 1", {"t": "(a: number[]): number"}),
        ("typescript", "export function a(x: string, y?: number): void {}", {"a": "(x: string, y?: number): void"}),
        ("typescript", "export async function a() {}\nexport function* b(x) {}", {"a": "()", "b": "(x)"}),
        ("typescript", "function h(q) {}\nexport { h as shown }", {"shown": "(q)"}),
        ("typescript", "function h(q) {}\nexport default h", {"default": "(q)"}),
        ("typescript", "export default function (q) {}", {"default": "(q)"}),
        ("typescript", "export class C { private p() {} run(a: number) {} #z() {} _y() {} }", {"C": "", "C.run": "(a: number)"}),
        ("typescript", "export interface I { a: string }\nexport type T = 1 | 2", {"I": " { a: string }", "T": " 1 | 2"}),
        ("typescript", "export enum E { A }\nexport let n: number = 1", {"E": " { A }", "n": ": number"}),
        ("typescript", "export { q } from './y'\nexport * from './x'", {"q": " re-exported", "* from './x'": ""}),
        ("tsx", "export const V = ({ a }: P) => <b>{a}</b>", {"V": "({ a }: P)"}),
        ("javascript", "const f = (a, b) => a\nmodule.exports = { f, g: x => x, h(y) {}, k: 3 }", {"f": "(a, b)", "g": "(x)", "h": "(y)", "k": ""}),
        ("javascript", "exports.total = p => 1\nmodule.exports.z = function (a) {}", {"total": "(p)", "z": "(a)"}),
        ("javascript", "module.exports = function (a) {}", {"default": "(a)"}),
        ("typescript", "class A { m(x) {} }\nexport { A }", {"A": "", "A.m": "(x)"}),
        ("typescript", "class A { m(x) {} }\nexport default A", {"default": "", "default.m": "(x)"}),
        ("typescript", "export default class { m(x) {} }", {"default": "", "default.m": "(x)"}),
        ("typescript", "export class A { size: number = 1; private hid = 2 }", {"A": "", "A.size": ": number"}),
        ("typescript", "export abstract class A { abstract m(x: number): void }", {"A": "", "A.m": "(x: number): void"}),
        ("typescript", "export declare function f(x: number): void", {"ambient_declaration": " declare function f(x: number): void"}),
        ("javascript", "class A { m(x) {} }\nmodule.exports = A", {"default": "", "default.m": "(x)"}),
        ("go", "package a\nfunc Map[T any](x []T) T { return x[0] }", {"Map": "[T any]([]T) T"}),
        ("go", "package a\ntype Cart struct {\n\tio.Reader\n\t*Base\n}", {"Cart": "", "Cart.Reader": " io.Reader", "Cart.Base": " Base"}),
        ("go", "package a\nfunc F(xs ...int) {}", {"F": "(...int)"}),
        ("javascript", "const hidden = 1\nfunction alsoHidden() {}", {}),
        ("go", "package a\nfunc Total(p []int) (int, error) { return 0, nil }\nfunc hidden() {}", {"Total": "([]int) (int, error)"}),
        ("go", "package a\ntype Cart struct {\n\tName, Other string\n\tsecret int\n}", {"Cart": "", "Cart.Name": " string", "Cart.Other": " string"}),
        ("go", "package a\nfunc (c *Cart) Add(x int) {}\nfunc (c *cart) No() {}\nfunc (c Cart) hid() {}", {"Cart.Add": "(int)"}),
        ("go", "package a\ntype Reader interface { Read() int }", {"Reader": " interface { Read() int }"}),
        ("go", "package a\nconst (\n\tA = 1\n\tb = 2\n)\nvar X, Y int", {"A": "", "X": " int", "Y": " int"}),
    ],
)  # fmt: skip
def test_exported_names(language, source, names):
    assert exported_names(language, source.encode()) == names


@pytest.mark.parametrize(
    ("language", "source"), [("javascript", b"export function ("), ("go", b"package"), ("cobol", b"x")]
)
def test_what_cannot_be_parsed_has_no_names(language, source):
    assert exported_names(language, source) is None
