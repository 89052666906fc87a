import { script } from '../script.ts';

export const numberScripts = [
  script(
    'integers at their limits',
    String.raw`
SELECT (-32768)::int2, 32767::int2, (-2147483648)::int4, 2147483647::int4

SELECT (-9223372036854775808)::int8, 9223372036854775807::int8, 0::oid, 4294967295::oid

!? 42601
SELECT 0x1F::text

SELECT 1::bool, 0::bool, true, false, NULL::bool

!22003
SELECT 32768::int2

!22003
SELECT 2147483647 + 1

!22003
SELECT 9223372036854775807 + 1

!22012
SELECT 1 / 0

!22P02
SELECT 'twelve'::int

SELECT 7 / 2, -7 / 2, 7 % 3, -7 % 3, 2 ^ 10, |/ 16.0, @ -3, 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4

SELECT count(*), sum(n), avg(n), min(n), max(n) FROM generate_series(1, 10) AS n`,
    { leaves: 'nothing' },
  ),
  script(
    'numeric',
    String.raw`
SELECT 'NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric, 0::numeric, -0.0::numeric, 1.10::numeric(5,3)

SELECT 1e100::numeric, (10::numeric ^ 130) + 0.1, 1e-100::numeric

SELECT length(repeat('9', 1000)::numeric::text), repeat('9', 200)::numeric

!22003
SELECT 1000::numeric(3)

!22012
SELECT 1::numeric / 0

SELECT 1 / 3::numeric, 2::numeric / 3, 10.0 / 4, round(2.5), round(-2.5), round(1234.567, -2), trunc(1.999, 2)

SELECT numeric '1.0' = numeric '1.000', numeric '1.0'::text, numeric '1.000'::text, scale(1.000), trim_scale(1.000)

SELECT div(17, 5), mod(17, 5), gcd(12, 18), lcm(4, 6), factorial(20), sqrt(2::numeric), ln(10::numeric), exp(1::numeric)`,
    { leaves: 'nothing' },
  ),
  script(
    'floating point',
    String.raw`
SELECT 'NaN'::float8, 'Infinity'::float8, '-Infinity'::float8, '-0'::float8, 1e308::float8, 5e-324::float8

SELECT 0.1::float4 + 0.2::float4, 0.1::float8 + 0.2::float8, 3.4028235e38::float4, 1e-45::float4

!22003
SELECT 1e39::float4

!22003
SELECT 1e308::float8 * 10

SET extra_float_digits = -3

SELECT 0.1::float8 + 0.2::float8, pi()

RESET extra_float_digits

SELECT pi(), degrees(pi()), sin(1), width_bucket(5.35, 0.024, 10.06, 5)`,
    { leaves: 'nothing' },
  ),
  script(
    'money and bits',
    String.raw`
SELECT 12.34::money, (-0.5)::money, '$1,234,567.89'::money, '92233720368547758.07'::money

!22003
SELECT '92233720368547758.08'::money

SELECT B'1010', X'1FF', B''::varbit, 5::bit(8), B'101'::bit(5), B'1'::varbit(3)

SELECT B'1100' & B'1010', B'1100' | B'1010', B'1100' # B'1010', ~B'1100', B'1' || B'0', length(B'10101'), get_bit(B'0100', 1)

!22026
CREATE TEMP TABLE bits_of AS SELECT B'101'::bit(3) & B'1'::bit(1)

!22P02
SELECT B'102'::bit(3)

!22P02
SELECT '12x'::bit(3)`,
    { leaves: 'nothing' },
  ),
];
