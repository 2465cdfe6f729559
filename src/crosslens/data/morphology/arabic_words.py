"""Arabic words whose gender an ending does not tell, or whose being inanimate an analysis asks.

Sources, named in each row. WRIGHT: W. Wright, A Grammar of the Arabic Language (3rd ed. 1896), vol. I, §§ 289–292: what is
feminine by signification and by usage, what is of either gender, and ة of men. RYDING: K. Ryding, A Reference Grammar of Modern
Standard Arabic (2005), the chapter on gender of nouns. FORM: regular by form in either work (ة feminine, no mark masculine);
ours is only that the word is common in descriptions of pictures and that it names a thing. The choice of words is ours.
"""

from typing import NamedTuple

from crosslens.data.morphology.base import BOTH, FEMININE, MASCULINE

WRIGHT, RYDING, FORM = "Wright 1896, I §§ 289-292", "Ryding 2005", "regular by form"


class Entry(NamedTuple):
    """A listed word."""

    word: str
    part: str
    gender: str
    number: str
    animate: bool | None
    source: str


_ROWS: list[tuple[str, str, str, bool | None, str, str]] = [
    # feminine without a mark: by usage, and what is in pairs of the body
    (
        "noun",
        FEMININE,
        "singular",
        False,
        WRIGHT,
        "شمس أرض نار حرب دار نفس بئر ريح كأس عصا فأس قوس رحى نعل جحيم يد عين أذن رجل# قدم ساق كتف فخذ سن ذراع كف إصبع يمين ركبة",
    ),
    ("noun", FEMININE, "singular", True, WRIGHT, "أم بنت أخت عروس عجوز# ضبع أفعى أرنب فرس"),
    ("noun", FEMININE, "singular", True, RYDING, "أنثى حبلى"),
    ("noun", FEMININE, "singular", False, RYDING, "ذكرى دعوى شكوى فوضى حمى صحراء بشرى عدوى موسيقى تقوى قربى"),
    (
        "noun",
        FEMININE,
        "singular",
        False,
        RYDING,
        "مصر سوريا تونس بيروت دمشق بغداد باريس لندن إنجلترا فرنسا أمريكا كاليفورنيا أوروبا إفريقيا أستراليا",
    ),
    # of either gender
    (
        "noun",
        BOTH,
        "singular",
        False,
        WRIGHT,
        "طريق سبيل سوق سكين سماء روح حال سلاح لسان عنق كبد خمر ملح درع دلو سلم صراط ضحى قفا إبط عسل زقاق سلطان# ثدي بطن رأس#",
    ),
    # ة of men, and masculine in ى and اء
    (
        "noun",
        MASCULINE,
        "singular",
        True,
        WRIGHT,
        "خليفة علامة# رحالة نابغة# داهية# راوية طاغية حمزة طلحة أسامة معاوية عبيدة قتيبة عنترة حذيفة عكرمة",
    ),
    ("noun", MASCULINE, "singular", True, RYDING, "فتى قاضي قاض محامي محام عيسى موسى مصطفى يحيى"),
    (
        "noun",
        MASCULINE,
        "singular",
        False,
        RYDING,
        "مستشفى مبنى معنى مقهى ملهى منتدى مستوى مرسى مدى ماء هواء غذاء دواء فضاء بناء إناء حذاء رداء عشاء شتاء فناء غطاء وعاء "
        "كهرباء# ضوء شيء جزء",
    ),
    # persons: their words tell a gender by meaning
    (
        "noun",
        MASCULINE,
        "singular",
        True,
        FORM,
        "رجل ولد طفل أب أخ ابن زوج ملك أمير رئيس مدير طبيب معلم مهندس سائق فلاح رسام حارس ممرض طباخ منظف عامل كاتب شاعر لاعب "
        "جندي شرطي طالب وزير نائب سيد شاب كلب حصان أسد ثور ديك طير طائر سمك فيل قرد حمار دب ذئب عصفور",
    ),
    (
        "noun",
        FEMININE,
        "singular",
        True,
        FORM,
        "امرأة مرأة فتاة سيدة زوجة ملكة أميرة رئيسة مديرة طبيبة معلمة مهندسة سائقة فلاحة رسامة حارسة ممرضة طباخة "
        "منظفة عاملة كاتبة شاعرة "
        "لاعبة طالبة وزيرة نائبة شابة ابنة طفلة والدة قطة بقرة دجاجة سمكة نحلة فراشة نملة حمامة بطة زرافة غزالة",
    ),
    # things: feminine by ة, which an ending tells; here because they are things
    (
        "noun",
        FEMININE,
        "singular",
        False,
        FORM,
        "سيارة شجرة طاولة صورة كرة ساعة تفاحة حقيبة زهرة وردة مدرسة حديقة غرفة نافذة دراجة طائرة سفينة مدينة قرية "
        "جامعة مكتبة كنيسة "
        "لوحة ورقة صفحة كلمة جملة رسالة لغة قصة رواية مجلة جريدة صحيفة قائمة شاشة آلة كاميرا نظارة قبعة سترة "
        "تنورة خزانة أريكة وسادة سجادة "
        "مرآة ستارة ثلاجة غسالة مغسلة ملعقة شوكة زجاجة علبة سلة قهوة وجبة فاكهة برتقالة موزة بطيخة بيتزا شوربة "
        "سلطة كعكة قطعة شريحة محطة "
        "شاحنة حافلة عربة دبابة قاطرة بوابة ساحة منطقة قارة دولة جزيرة بحيرة غابة سحابة نجمة صخرة تلة قمة موجة "
        "مظلة خيمة لعبة دمية "
        "كتلة دائرة زاوية نقطة درجة دقيقة ثانية سنة ليلة مرة فترة مهنة وظيفة شركة مؤسسة منظمة جمعية لجنة كلية "
        "جائزة مباراة حياة صلاة "
        "مشكلة فكرة مهمة خدمة عملية محاولة حركة رحلة حفلة أغنية موهبة بداية نهاية قوة سرعة حرارة طاقة شمعة ضوضاء# "
        "بطاقة عملة تذكرة وثيقة شهادة "
        "نتيجة علاقة ثقافة سياسة حكومة وزارة محكمة جريمة تجربة دراسة مسيرة شهرة مجموعة سلسلة نسخة طبعة إشارة "
        "لافتة دورة وحدة سعرة",
    ),
    # things: masculine without a mark
    (
        "noun",
        MASCULINE,
        "singular",
        False,
        FORM,
        "كتاب قلم باب بيت منزل مفتاح هاتف كوب كرسي مكتب مطبخ شارع جدار سقف حائط سرير مصباح حاسوب تلفاز تلفزيون "
        "قميص ثوب فستان معطف بنطال "
        "حزام خاتم تاج صندوق كيس طبق صحن فنجان إبريق خبز جبن لحم أرز زيت شاي حليب عصير طعام قطار قارب مركب جسر "
        "نهر بحر جبل وادي شاطئ رمل "
        "حجر قمر نجم كوكب غيم مطر ثلج جليد حقل بستان عشب ورق غصن جذع ملعب مسرح متحف مطعم فندق مسجد برج قصر سجن "
        "مصنع مخزن متجر دكان مطار ميناء "
        "مجلس نادي ناد حزب فريق جيش عدد رقم اسم وقت يوم شهر أسبوع عام قرن عقد عمر دور عمل شغل منصب لقب فيلم مسلسل "
        "برنامج عنوان مقال خبر تقرير "
        "قانون قرار نظام مجتمع عالم# تاريخ علم شعر فن صوت لون شكل حجم وزن طول عرض ثمن سعر مال دولار دينار متر "
        "كيلومتر سنتيمتر غرام كيلوغرام طن لتر "
        "واط هكتار قيراط عنصر بايت بكسل وجه أنف فم قلب صدر ظهر حب خوف فرح حزن سبب هدف حل سؤال جواب درس مشروع موقع "
        "مكان مركز حفل موعد مقعد لوح "
        "سيف رمح قفص حبل خيط سلك دخان غبار تراب طين معدن خشب زجاج حديد قطن حرير جلد صابون دفتر مقص مسمار منشار "
        "محرك إطار ألبوم بيانو "
        "مهرجان دوري نجاح فوز رسم تمثال تعليم تمثيل انضمام تصميم",
    ),
    # adjectives of colour and defect: أفعل and فعلاء
    (
        "adjective",
        MASCULINE,
        "singular",
        None,
        RYDING,
        "أحمر أزرق أصفر أخضر أسود أبيض أشقر أسمر أعمى أعرج أصم",
    ),
    (
        "adjective",
        FEMININE,
        "singular",
        None,
        RYDING,
        "حمراء زرقاء صفراء خضراء سوداء بيضاء شقراء سمراء عمياء عرجاء صماء حسناء أخرى كبرى صغرى عظمى أولى حامل#",
    ),
    (
        "adjective",
        MASCULINE,
        "singular",
        None,
        FORM,
        "كبير صغير طويل قصير جديد قديم جميل خاص رئيسي محلي دولي",
    ),
]
"""(part, gender, number, animate, source, words); a word with # is one of several meanings, whose gender is left open."""

WORDS = tuple(
    Entry(word, part, gender, number, animate, source)
    for part, gender, number, animate, source, words in _ROWS
    for word in words.split()
    if not word.endswith("#")
)

VERBS_TOO = frozenset("عمل درس ظهر عرض رسم حل عقد علم شكل فوز حب سجن خبر حجر سلك خلق شعر حمل جلد".split())
"""Listed nouns that are verbs as well, read as nouns only behind the article or a preposition."""

FUNCTION = frozenset(
    "في من إلى على عن مع منذ حتى بين عند لدى تحت فوق أمام خلف وراء قبل بعد حول خلال ضد دون بدون مثل غير و ف ب ل ك "
    "أو أم ثم لكن بل لا لم لن ما "
    "هل قد لقد سوف إن أن إنه إنها أنه أنها كأن لأن لأنه لأنها إذا لو كي كل بعض أي هذا هذه ذلك تلك هؤلاء هنا هناك "
    "الذي التي الذين اللواتي اللاتي هو هي "
    "هم هن هما نحن أنا أنت فيه فيها به بها له لها منه منها عليه عليها إليه إليها لديه لديها معه معها عندما حيث "
    "حين بينما كما أيضا جدا فقط كان كانت "
    "كانوا كن كانا كانتا يكون تكون ليس ليست وهو وهي وقد وفي ومع ومن وكان وكانت ولم ولا ولكن لكنه لكنها بأن وأن "
    "وأنه والذي والتي أحد إحدى واحد واحدة "
    "معظم جميع عدة نحو عبر أثناء ضمن لدي الآن ربما تم".split()
)
"""Particles, prepositions, pronouns and the copula, with the letters that are commonly written onto them."""

NO_ENDING = frozenset(
    "أوقات أصوات أبيات أموات بنات أخوات ذات نبات سبات فرات ثبات التفات وقت بيت صوت زيت موت بنت تحت سانت إنترنت "
    "كبريت توقيت تثبيت تابوت ياقوت "
    "عنكبوت يونيو يوليو يناير يسار يمين قانون زيتون صابون تلفزيون مليون ميليون كانون بستان إنسان عيون فنون شؤون "
    "سجون ديون متين مرتين اثنين "
    "ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة يورو يهودي يوناني ياسمين يابان يوميا يقين يتيم ينبوع".split()
)
"""What only looks as if it had an ending: broken plurals and roots in ات, ت, ون and ين, nouns in ي, and numerals, whose ة
stands with masculine nouns."""
