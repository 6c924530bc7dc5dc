"""What vetted source may be made of: everything that stands in none of these tables is refused.

An entry is here because an honest strategy needs it, and because on whatever object it is used it reads no file, starts
nothing, evaluates no text and gives out no module.
"""

import ast
import builtins


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NODES: tuple[type[ast.AST], ...] = (
    *(ast.Module, ast.FunctionDef, ast.Lambda, ast.arguments, ast.arg, ast.Return),
    *(ast.Import, ast.ImportFrom, ast.alias),
    *(ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Pass, ast.Assert, ast.Raise),
    *(ast.For, ast.While, ast.If, ast.Break, ast.Continue, ast.With, ast.withitem, ast.Try, ast.ExceptHandler),
    *(ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Starred),
    *(ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Name, ast.Attribute, ast.Subscript, ast.Slice),
    *(ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
    *(ast.comprehension, ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop),
)
"""Node types. Missing on purpose: classes, async, yield, match, except*, :=, global, nonlocal, del, type aliases."""

CONSTANTS = (str, int, float, bool, complex, type(None), type(...))

CONTEXTS = frozenset({"numpy.errstate"})
"""What may stand in a `with`: it calls methods that no node names."""

MODULES: dict[str, frozenset[str]] = {
    "math": _words(
        "acos asin atan atan2 cbrt ceil comb copysign cos cosh degrees dist e erf erfc exp exp2 expm1 fabs factorial "
        "floor fmod fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm lgamma log log10 log1p log2 modf "
        "nan perm pi pow prod radians remainder sin sinh sqrt sumprod tan tanh tau trunc"
    ),
    "itertools": _words(
        "accumulate batched chain chain.from_iterable combinations combinations_with_replacement compress count cycle "
        "dropwhile filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest"
    ),
    "functools": _words("partial reduce"),
    "operator": _words("add and_ eq floordiv ge gt itemgetter le lt mod mul ne neg or_ pow sub truediv xor"),
    "collections": _words("Counter OrderedDict defaultdict deque"),
    "datetime": _words("date datetime datetime.strptime timedelta"),
    "statistics": _words(
        "correlation covariance fmean geometric_mean harmonic_mean linear_regression mean median median_high "
        "median_low mode pstdev pvariance quantiles stdev variance"
    ),
    "warnings": _words("filterwarnings simplefilter"),
    "numpy": _words(
        "abs absolute add all allclose any append arange arccos arcsin arctan arctan2 arctanh argmax argmin "
        "argpartition argsort argwhere array array_equal asarray atleast_1d atleast_2d average bincount bool_ "
        "broadcast_to busday_count cbrt ceil clip column_stack concatenate convolve copysign corrcoef correlate cos "
        "cosh count_nonzero cov cross cumprod cumsum datetime64 deg2rad diag diagonal diff digitize divide dot e "
        "empty empty_like equal exp exp2 expand_dims expm1 eye fabs fill_diagonal flatnonzero flip float32 float64 "
        "floor floor_divide fmax fmin full full_like gradient greater greater_equal heaviside histogram hstack hypot "
        "identity in1d inf inner insert int32 int64 interp intersect1d isclose isfinite isin isinf isnan less "
        "less_equal linalg.LinAlgError linalg.cholesky linalg.det linalg.eig linalg.eigh linalg.eigvalsh linalg.inv "
        "linalg.lstsq linalg.matrix_rank linalg.multi_dot linalg.norm linalg.pinv linalg.qr linalg.slogdet "
        "linalg.solve linalg.svd linspace log log10 log1p log2 logical_and logical_not logical_or logical_xor "
        "logspace max maximum maximum.accumulate mean median meshgrid min minimum minimum.accumulate mod multiply nan "
        "nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod "
        "nanquantile nanstd nansum nanvar ndarray ndim negative newaxis nonzero not_equal ones ones_like outer "
        "partition percentile pi polyfit polyval power prod ptp quantile rad2deg random.default_rng random.normal "
        "random.permutation random.rand random.randint random.randn random.seed random.uniform ravel reciprocal "
        "repeat reshape roll round searchsorted select setdiff1d shape sign sin sinh size sort split sqrt square "
        "squeeze stack std subtract sum swapaxes take take_along_axis tan tanh tile timedelta64 trace transpose tril "
        "triu true_divide trunc union1d unique var vstack where zeros zeros_like lib.stride_tricks.sliding_window_view "
        "errstate"
    ),
    "pandas": _words(
        "BooleanDtype Categorical CategoricalDtype DataFrame DataFrame.from_dict DataFrame.from_records DateOffset "
        "DatetimeIndex Float64Dtype Grouper Index IndexSlice Int64Dtype Interval MultiIndex MultiIndex.from_arrays "
        "MultiIndex.from_product MultiIndex.from_tuples NA NaT Period PeriodIndex RangeIndex Series Timedelta "
        "TimedeltaIndex Timestamp bdate_range concat cut date_range factorize get_dummies isna isnull melt merge "
        "merge_asof notna notnull offsets.BDay offsets.BusinessDay offsets.Day offsets.MonthBegin offsets.MonthEnd "
        "offsets.QuarterEnd offsets.Week offsets.YearEnd period_range qcut to_datetime to_numeric to_timedelta unique"
    ),
}
"""The modules that may be imported, each with what may be used of it, by its whole dotted path."""

BUILTINS = _words(
    "ArithmeticError AssertionError Exception FloatingPointError IndexError KeyError LookupError NotImplementedError "
    "OverflowError RuntimeError StopIteration TypeError ValueError ZeroDivisionError abs all any bool callable dict "
    "divmod enumerate filter float frozenset int isinstance iter len list map max min next pow print range reversed "
    "round set slice sorted str sum tuple zip"
)
GIVEN = _words("data params __name__")
"""Names that the harness gives to every strategy."""

OTHER_BUILTINS = (frozenset(dir(builtins)) - BUILTINS - GIVEN) | _words("copyright credits exit help license quit")
"""What Python itself would find under a name that a module has not bound yet."""

ATTRIBUTES = _words(
    # the data of a run
    "open high low close adj_close volume symbols dates fields get "
    # numbers, texts, lists, dictionaries, sets
    "real imag is_integer bit_length "
    "join split rsplit splitlines upper lower title capitalize strip lstrip rstrip replace startswith endswith zfill "
    "removeprefix removesuffix isdigit isalpha isnumeric "
    "append extend insert remove pop popleft appendleft clear copy count index sort reverse rotate "
    "keys values items setdefault update most_common elements total move_to_end "
    "union intersection difference symmetric_difference issubset issuperset isdisjoint discard "
    # arrays
    "T shape size ndim dtype flat astype reshape ravel flatten transpose swapaxes squeeze repeat take "
    "sum mean std var min max prod cumsum cumprod argmin argmax argsort searchsorted round clip all any dot tolist "
    "item nonzero diagonal trace fill conj "
    # random numbers of a generator
    "random normal uniform integers choice permutation shuffle standard_normal "
    # frames and Series: labels and selection
    "columns name names loc iloc at iat head tail first last nlargest nsmallest idxmax idxmin isin between filter "
    "where mask sample drop dropna drop_duplicates duplicated unique nunique value_counts empty axes hasnans is_unique "
    "is_monotonic_increasing is_monotonic_decreasing rename rename_axis set_index reset_index reindex reindex_like "
    "set_axis sort_index sort_values truncate squeeze xs stack unstack pivot melt explode assign add_prefix add_suffix "
    "get_level_values droplevel swaplevel levels codes get_loc get_indexer get_indexer_for slice_indexer insert "
    # and arithmetic
    "add sub mul div truediv floordiv mod pow radd rsub rmul rdiv rtruediv eq ne lt le gt ge abs neg "
    "median mode skew kurt sem quantile rank corr corrwith cov describe cummax cummin diff pct_change shift autocorr "
    "ffill bfill fillna isna notna isnull notnull interpolate combine combine_first align infer_objects convert_dtypes "
    "map applymap apply agg aggregate transform iterrows itertuples "
    # and time
    "rolling expanding ewm groupby resample asfreq asof at_time between_time tz_localize tz_convert tz to_period "
    "to_timestamp to_frame to_series to_list to_numpy to_dict to_pydatetime to_flat_index "
    "dt year month day hour minute second weekday dayofweek day_of_week dayofyear day_of_year quarter days "
    "days_in_month is_month_end is_month_start is_quarter_end is_quarter_start is_year_end is_year_start isocalendar "
    "week month_name day_name normalize strftime date total_seconds isoformat freq freqstr floor ceil timestamp "
    # groups
    "groups ngroups ngroup cumcount nth size get_group ohlc indices "
    # text columns
    "str contains len "
    # intervals
    "left right mid"
)
"""Attributes of anything that is no module, by their bare name."""

DISPATCHERS = _words("agg aggregate apply transform")
"""Methods that call other methods by a name in a text."""

DISPATCHER_KEYWORDS = _words("args axis func raw result_type")
"""Their arguments; any other name would be that of a new column, and its value another text that names a method."""

REDUCERS = _words(
    "all any count cummax cummin cumprod cumsum diff ffill bfill first idxmax idxmin last max mean median min nunique "
    "ohlc pct_change prod rank sem shift size skew std sum var"
)
"""What such a text may say."""

TEXT_EVALUATORS = _words("eval query")
"""Methods that evaluate a text."""

INSPECTION = _words(
    "tb_frame tb_next tb_lasti tb_lineno f_back f_builtins f_code f_generator f_globals f_lasti f_lineno f_locals "
    "f_trace co_argcount co_code co_consts co_flags co_filename co_freevars co_lnotab co_names co_varnames gi_frame "
    "gi_running gi_code gi_yieldfrom cr_await cr_frame cr_running cr_code cr_origin ag_await ag_frame ag_running "
    "ag_code mro obj with_traceback func_globals func_code"
)
"""Attributes of frames, code, generators, coroutines, classes and errors that lead out of the source."""

KEYWORDS = _words(
    # of Python
    "key reverse default start strict sep end flush initial maxlen fillvalue r n action message category "
    "days seconds milliseconds minutes hours weeks months years year month day hour minute second weekday "
    # of numpy
    "a a_max a_min append aweights axes axis base bias bins choicelist condlist copy ddof decimals deg density divide "
    "dtype endpoint equal_nan fill_value full fweights high indexing invalid k keepdims kind loc low m minlength mode "
    "N nan neginf num ord order over p posinf prepend q rcond repeats replace retstep return_counts return_index "
    "return_inverse rowvar rtol atol scale seed shape side size step stop under weights window_shape x y all range "
    # of pandas
    "adjust alpha allow_exact_matches ambiguous args arrays as_index ascending bool_only by case categories center "
    "closed com cond columns data dayfirst direction downcast drop drop_first dropna duplicates errors exclude expand "
    "fill_method format frac freq func group_keys halflife how id_vars ignore_index ignore_na include include_lowest "
    "inclusive index inplace interpolation iterables items join keep keys label labels left left_by left_index left_on "
    "level levels like limit limit_area limit_direction lower mapper method min_count min_periods name names na "
    "na_option na_position na_value nonexistent normalize numeric_only observed offset on ordered orient origin other "
    "pat pct percentiles periods precision prefix prefix_sep random_state raw regex result_type retbins right right_by "
    "right_index right_on skipna sort sortorder span subset suffixes thresh to_replace tolerance tuples tz unit upper "
    "utc validate value value_name value_vars values var_name verify_integrity window yearfirst"
)
"""Names of arguments of anything that is not written in the source itself."""

OPEN_KEYWORDS = _words("assign dict")
"""Whose arguments are called as the caller likes."""

MOST_POSITIONS = {"rolling": 3, "expanding": 1, "ewm": 6}
"""How many arguments without a name these may get: those behind have names that are no keyword here."""

LABELS = _words("columns index name names")
"""Attributes that may be set on one's own values."""

INDEXERS = _words("loc iloc at iat values")
"""Attributes through which one's own values may be written."""
